package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"

	"sigs.k8s.io/yaml"
)

// testCase is one case of a health_test.yaml or an action_test.yaml.
type testCase struct {
	name string
	run  func() error
}

type healthTests struct {
	Tests []struct {
		InputPath    string `json:"inputPath"`
		HealthStatus health `json:"healthStatus"`
	} `json:"tests"`
}

type actionTests struct {
	DiscoveryTests []struct {
		InputPath string   `json:"inputPath"`
		Result    []action `json:"result"`
	} `json:"discoveryTests"`
	ActionTests []struct {
		Action             string `json:"action"`
		InputPath          string `json:"inputPath"`
		ExpectedOutputPath string `json:"expectedOutputPath"`
	} `json:"actionTests"`
}

// cases are all cases below the folder. A script without cases is an error, as in Argo CD.
func (c customizations) cases() (cases []testCase, err error) {
	err = filepath.WalkDir(c.folder, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		folder := filepath.Dir(path)
		var found []testCase
		switch filepath.Base(path) {
		case "health.lua":
			found, err = c.healthCases(folder)
		case "discovery.lua":
			found, err = c.actionCases(folder)
		}
		cases = append(cases, found...)
		return err
	})
	return cases, err
}

func (c customizations) healthCases(folder string) (cases []testCase, err error) {
	var tests healthTests
	if err := read(filepath.Join(folder, "health_test.yaml"), &tests); err != nil {
		return nil, err
	}
	for _, test := range tests.Tests {
		input := filepath.Join(folder, test.InputPath)
		cases = append(cases, testCase{c.name("health", input), func() error {
			object, err := object(input)
			if err != nil {
				return err
			}
			verdict, err := c.health(object)
			return compare(verdict, test.HealthStatus, err)
		}})
	}
	return cases, nil
}

func (c customizations) actionCases(folder string) (cases []testCase, err error) {
	var tests actionTests
	if err := read(filepath.Join(folder, "action_test.yaml"), &tests); err != nil {
		return nil, err
	}
	for _, test := range tests.DiscoveryTests {
		input := filepath.Join(folder, test.InputPath)
		cases = append(cases, testCase{c.name("discovery", input), func() error {
			object, err := object(input)
			if err != nil {
				return err
			}
			expected := map[string]action{}
			for _, action := range test.Result {
				expected[action.Name] = action
			}
			actions, err := c.actions(object)
			return compare(actions, expected, err)
		}})
	}
	for _, test := range tests.ActionTests {
		input := filepath.Join(folder, test.InputPath)
		cases = append(cases, testCase{c.name(test.Action, input), func() error {
			from, err := object(input)
			if err != nil {
				return err
			}
			expected, err := object(filepath.Join(folder, test.ExpectedOutputPath))
			if err != nil {
				return err
			}
			changed, err := c.act(test.Action, from)
			return compare(changed, expected, err)
		}})
	}
	return cases, nil
}

// name is what a case is called: what is tried, and with which file.
func (c customizations) name(what, input string) string {
	if short, err := filepath.Rel(c.folder, input); err == nil {
		input = short
	}
	return what + " " + filepath.ToSlash(input)
}

func compare[T any](is, expected T, err error) error {
	if err == nil && !reflect.DeepEqual(is, expected) {
		err = fmt.Errorf("it is\n%+v, and not\n%+v", is, expected)
	}
	return err
}

func object(path string) (object map[string]any, err error) {
	err = read(path, &object)
	return object, err
}

// read reads a YAML file. A field that is not known here is an error, so that no case is left out.
func read(path string, into any) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := yaml.UnmarshalStrict(text, into); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}
