package main

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/scheme"
)

var groupBuilder = &scheme.Builder{GroupVersion: schema.GroupVersion{Group: "agents.sarvam.ai", Version: "v1alpha1"}}

// Deployment is one phone line: what of it this operator reads and writes.
type Deployment struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec   DeploymentSpec   `json:"spec"`
	Status DeploymentStatus `json:"status,omitempty"`
}

// DeploymentSpec is what a user asks of a line.
type DeploymentSpec struct {
	WorkspaceRef WorkspaceRef `json:"workspaceRef"`
	DeploymentID string       `json:"deploymentID"`
	Paused       bool         `json:"paused"`
}

// WorkspaceRef names the line's Workspace.
type WorkspaceRef struct {
	Name string `json:"name"`
}

// DeploymentStatus is what is told of a line.
type DeploymentStatus struct {
	ObservedGeneration int64              `json:"observedGeneration,omitempty"`
	Remote             *RemoteStatus      `json:"remote,omitempty"`
	Conditions         []metav1.Condition `json:"conditions,omitempty"`
}

// RemoteStatus is what the remote showed last.
type RemoteStatus struct {
	State string `json:"state"`
}

// DeploymentList is a list of them.
type DeploymentList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []Deployment `json:"items"`
}

// DeepCopyObject is what controller-gen would write.
func (in *Deployment) DeepCopyObject() runtime.Object { return in.DeepCopy() }

// DeepCopy is what controller-gen would write.
func (in *Deployment) DeepCopy() *Deployment {
	out := *in
	in.ObjectMeta.DeepCopyInto(&out.ObjectMeta)
	if in.Status.Remote != nil {
		remote := *in.Status.Remote
		out.Status.Remote = &remote
	}
	if in.Status.Conditions != nil {
		out.Status.Conditions = make([]metav1.Condition, len(in.Status.Conditions))
		for i := range in.Status.Conditions {
			in.Status.Conditions[i].DeepCopyInto(&out.Status.Conditions[i])
		}
	}
	return &out
}

// DeepCopyObject is what controller-gen would write.
func (in *DeploymentList) DeepCopyObject() runtime.Object {
	out := *in
	in.ListMeta.DeepCopyInto(&out.ListMeta)
	if in.Items != nil {
		out.Items = make([]Deployment, len(in.Items))
		for i := range in.Items {
			out.Items[i] = *in.Items[i].DeepCopy()
		}
	}
	return &out
}

func init() {
	groupBuilder.Register(&Deployment{}, &DeploymentList{})
}
