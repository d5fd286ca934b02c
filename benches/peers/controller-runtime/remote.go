package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"golang.org/x/time/rate"
)

// Remote is one workspace at the remote. All calls pass one token bucket.
type Remote struct {
	workspace string
	key       string
	http      *http.Client
	limiter   *rate.Limiter
}

// NewRemote makes a client for the workspace at this URL, with so many calls a second and as many at once after a rest.
func NewRemote(workspace, key string, perSecond int) *Remote {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = concurrency
	return &Remote{
		workspace: workspace,
		key:       key,
		http:      &http.Client{Transport: transport, Timeout: 8 * time.Second},
		limiter:   rate.NewLimiter(rate.Limit(perSecond), perSecond),
	}
}

// Paused looks whether a line is paused.
func (r *Remote) Paused(ctx context.Context, line string) (bool, error) {
	return r.call(ctx, http.MethodGet, line, "", nil)
}

// SetPaused pauses or resumes a line, and returns what the remote answers.
func (r *Remote) SetPaused(ctx context.Context, line string, paused bool) (bool, error) {
	action := "resume"
	if paused {
		action = "pause"
	}
	body, err := json.Marshal(map[string]string{"action": action})
	if err != nil {
		return false, err
	}
	return r.call(ctx, http.MethodPut, line, "/status", body)
}

func (r *Remote) call(ctx context.Context, method, line, below string, body []byte) (bool, error) {
	if err := r.limiter.Wait(ctx); err != nil {
		return false, err
	}
	address := r.workspace + "/deployments/" + url.PathEscape(line) + below
	request, err := http.NewRequestWithContext(ctx, method, address, bytes.NewReader(body))
	if err != nil {
		return false, err
	}
	request.Header.Set("X-API-Key", r.key)
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	response, err := r.http.Do(request)
	if err != nil {
		return false, err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		return false, err
	}
	if response.StatusCode != http.StatusOK {
		return false, fmt.Errorf("%s %s: HTTP %d", method, line, response.StatusCode)
	}
	var shown struct {
		Status string `json:"status"`
	}
	if err := json.Unmarshal(answer, &shown); err != nil {
		return false, err
	}
	return shown.Status == "paused", nil
}
