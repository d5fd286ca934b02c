package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"time"

	lua "github.com/yuin/gopher-lua"
	luajson "layeh.com/gopher-json"
)

// limit is how long Argo CD lets a script run.
const limit = time.Second

// execute runs a script with the object as the global `obj`, and decodes the table that it returns.
//
// Of Lua's libraries it has base, package and table: what a script in argocd-cm gets. Scripts that are built into Argo CD get more.
func execute(path string, object map[string]any, result any) error {
	script, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	state := lua.NewState(lua.Options{SkipOpenLibs: true})
	defer state.Close()
	for _, library := range []struct {
		name string
		open lua.LGFunction
	}{{lua.LoadLibName, lua.OpenPackage}, {lua.BaseLibName, lua.OpenBase}, {lua.TabLibName, lua.OpenTable}} {
		state.Push(state.NewFunction(library.open))
		state.Push(lua.LString(library.name))
		state.Call(1, 0)
	}
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	state.SetContext(ctx)
	state.SetGlobal("obj", value(state, object))
	if err := state.DoString(string(script)); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	table, ok := state.Get(-1).(*lua.LTable)
	if !ok {
		return fmt.Errorf("%s returns a %s, not a table", path, state.Get(-1).Type())
	}
	text, err := luajson.Encode(table)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	// Lua has one empty table for both.
	if string(text) == "[]" {
		text = []byte("{}")
	}
	return json.Unmarshal(text, result)
}

// value is a decoded JSON value as Lua sees it. An absent field and null are both nil.
func value(state *lua.LState, from any) lua.LValue {
	switch from := from.(type) {
	case bool:
		return lua.LBool(from)
	case float64:
		return lua.LNumber(from)
	case string:
		return lua.LString(from)
	case []any:
		table := state.NewTable()
		for _, item := range from {
			table.Append(value(state, item))
		}
		return table
	case map[string]any:
		table := state.NewTable()
		for key, item := range from {
			table.RawSetString(key, value(state, item))
		}
		return table
	}
	return lua.LNil
}
