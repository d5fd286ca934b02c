// The operator's main job in controller-runtime, in its usual style: an edit is sent to the remote, and each line is looked at again after
// a while. The benchmark runs it beside the operator.
//
// It trusts every answer, and knows one workspace only, given by flags.
package main

import (
	"context"
	"flag"
	"os"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientscheme "k8s.io/client-go/kubernetes/scheme"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
)

// How many lines are worked on at once, and so how many calls are in flight.
const concurrency = 8

// Reconciler makes lines as they are asked for.
type Reconciler struct {
	client.Client
	remote *Remote
	every  time.Duration
}

// Reconcile sends an edit, or else looks at the line and corrects it.
func (r *Reconciler) Reconcile(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
	var line Deployment
	if err := r.Get(ctx, request.NamespacedName, &line); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	before := line.DeepCopy()
	want := line.Spec.Paused
	edited := line.Status.ObservedGeneration != 0 && line.Status.ObservedGeneration != line.Generation
	is := !want
	var err error
	if !edited {
		if is, err = r.remote.Paused(ctx, line.Spec.DeploymentID); err != nil {
			return ctrl.Result{}, err
		}
	}
	if is != want {
		if is, err = r.remote.SetPaused(ctx, line.Spec.DeploymentID, want); err != nil {
			return ctrl.Result{}, err
		}
		log.FromContext(ctx).Info("sent", "paused", want, "edit", edited)
	}

	state := "Active"
	if is {
		state = "Paused"
	}
	line.Status.ObservedGeneration = line.Generation
	line.Status.Remote = &RemoteStatus{State: state}
	meta.SetStatusCondition(&line.Status.Conditions, metav1.Condition{
		Type: "Ready", Status: metav1.ConditionTrue, Reason: "Synced", Message: "The line is as asked.", ObservedGeneration: line.Generation,
	})
	// An empty patch is a request too: it is left out.
	if patch := client.MergeFrom(before); edited || !isEmpty(patch, &line) {
		if err := r.Status().Patch(ctx, &line, patch); err != nil {
			return ctrl.Result{}, err
		}
	}
	return ctrl.Result{RequeueAfter: r.every}, nil
}

func isEmpty(patch client.Patch, line *Deployment) bool {
	data, err := patch.Data(line)
	return err == nil && string(data) == "{}"
}

func main() {
	namespace := flag.String("namespace", "", "the only namespace to look at")
	workspace := flag.String("workspace-url", "", "the URL of the workspace at the remote; its key is in the environment: API_KEY")
	perSecond := flag.Int("requests-per-second", 1000, "how often the remote is called")
	every := flag.Duration("sync-interval", time.Minute, "how often each line is looked at")
	flag.Parse()
	ctrl.SetLogger(zap.New())
	if err := run(*namespace, *workspace, *perSecond, *every); err != nil {
		ctrl.Log.Error(err, "this operator ends")
		os.Exit(1)
	}
}

func run(namespace, workspace string, perSecond int, every time.Duration) error {
	known := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientscheme.AddToScheme, groupBuilder.AddToScheme} {
		if err := add(known); err != nil {
			return err
		}
	}
	manager, err := ctrl.NewManager(ctrl.GetConfigOrDie(), ctrl.Options{
		Scheme:                  known,
		Cache:                   cache.Options{DefaultNamespaces: map[string]cache.Config{namespace: {}}},
		Metrics:                 server.Options{BindAddress: "0"},
		LeaderElection:          true,
		LeaderElectionID:        "controller-runtime",
		LeaderElectionNamespace: namespace,
	})
	if err != nil {
		return err
	}
	reconciler := &Reconciler{Client: manager.GetClient(), remote: NewRemote(workspace, os.Getenv("API_KEY"), perSecond), every: every}
	err = ctrl.NewControllerManagedBy(manager).
		For(&Deployment{}, builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		WithOptions(controller.Options{MaxConcurrentReconciles: concurrency}).
		Complete(reconciler)
	if err != nil {
		return err
	}
	return manager.Start(ctrl.SetupSignalHandler())
}
