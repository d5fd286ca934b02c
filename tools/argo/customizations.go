package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// customizations is a folder laid out as Argo CD's resource_customizations: GROUP/KIND/health.lua and
// GROUP/KIND/actions/NAME/action.lua, where the kind `_` stands for every kind that has no health check of its own.
type customizations struct{ folder string }

// health is what a health check says of an object.
type health struct {
	Status  string `json:"status"`
	Message string `json:"message"`
}

// statuses are the words that Argo CD takes; it turns any other into Unknown.
var statuses = []string{"Healthy", "Suspended", "Progressing", "Missing", "Degraded", "Unknown"}

// action is what discovery tells of an action of an object.
type action struct {
	Name        string `json:"name"`
	Disabled    bool   `json:"disabled"`
	IconClass   string `json:"iconClass"`
	DisplayName string `json:"displayName"`
}

func (c customizations) health(object map[string]any) (health, error) {
	path := c.script(object, "health.lua")
	if _, err := os.Stat(path); os.IsNotExist(err) {
		path = filepath.Join(filepath.Dir(filepath.Dir(path)), "_", "health.lua")
	}
	var verdict health
	if err := execute(path, object, &verdict); err != nil {
		return health{}, err
	}
	if !slices.Contains(statuses, verdict.Status) {
		return health{}, fmt.Errorf("%s: the status %q is none of %s", path, verdict.Status, strings.Join(statuses, ", "))
	}
	return verdict, nil
}

// actions are the actions of an object, by their names.
func (c customizations) actions(object map[string]any) (map[string]action, error) {
	actions := map[string]action{}
	if err := execute(c.script(object, "actions/discovery.lua"), object, &actions); err != nil {
		return nil, err
	}
	for name, action := range actions {
		action.Name = name
		actions[name] = action
	}
	return actions, nil
}

// act is the object as an action wants it to be.
func (c customizations) act(name string, object map[string]any) (map[string]any, error) {
	var changed map[string]any
	if err := execute(c.script(object, filepath.Join("actions", name, "action.lua")), object, &changed); err != nil {
		return nil, err
	}
	return withEmptyObjects(changed, object).(map[string]any), nil
}

func (c customizations) script(object map[string]any, name string) string {
	version, _ := object["apiVersion"].(string)
	kind, _ := object["kind"].(string)
	group, _, _ := strings.Cut(version, "/")
	return filepath.Join(c.folder, group, kind, name)
}

// withEmptyObjects undoes what Lua does to an empty object: it comes back as an empty list.
func withEmptyObjects(changed, original any) any {
	switch changed := changed.(type) {
	case []any:
		if _, was := original.(map[string]any); was && len(changed) == 0 {
			return map[string]any{}
		}
		if items, was := original.([]any); was {
			for i := range min(len(changed), len(items)) {
				changed[i] = withEmptyObjects(changed[i], items[i])
			}
		}
	case map[string]any:
		if fields, was := original.(map[string]any); was {
			for key, field := range changed {
				changed[key] = withEmptyObjects(field, fields[key])
			}
		}
	}
	return changed
}
