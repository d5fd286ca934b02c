// Argo CD's health checks and resource actions, run as Argo CD runs them.
//
//	argo-health test FOLDER     runs every case of a resource_customizations folder, a line each
//	argo-health judge FOLDER    reads objects as JSON from standard input and prints each one's health as JSON, a line each
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "argo-health:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	commands := map[string]func(customizations) error{"test": test, "judge": judge}
	if len(args) != 2 || commands[args[0]] == nil {
		return errors.New("usage: argo-health test|judge FOLDER, where FOLDER is laid out as Argo CD's resource_customizations")
	}
	return commands[args[0]](customizations{args[1]})
}

func test(scripts customizations) error {
	cases, err := scripts.cases()
	if err != nil {
		return err
	}
	if len(cases) == 0 {
		return fmt.Errorf("%s has no health.lua and no discovery.lua", scripts.folder)
	}
	failed := 0
	for _, one := range cases {
		if err := one.run(); err != nil {
			failed++
			fmt.Printf("FAIL %s: %v\n", one.name, err)
		} else {
			fmt.Printf("ok   %s\n", one.name)
		}
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d cases failed", failed, len(cases))
	}
	return nil
}

func judge(scripts customizations) error {
	out := bufio.NewWriter(os.Stdout)
	defer out.Flush()
	objects, verdicts := json.NewDecoder(bufio.NewReader(os.Stdin)), json.NewEncoder(out)
	for {
		var object map[string]any
		if err := objects.Decode(&object); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		verdict, err := scripts.health(object)
		if err != nil {
			return err
		}
		if err := verdicts.Encode(verdict); err != nil {
			return err
		}
	}
}
