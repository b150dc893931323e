// Command lua runs a script as Argo CD runs those of its resource customizations, once for each of many objects.
//
// Standard input is JSON, {"script": "...", "objects": [{...}]}; standard output has a list with one result for each
// object: {"returned": ...} or {"error": "..."}. The script sees the object as the global `obj`. It has the libraries
// that Argo CD opens for scripts of argocd-cm, and no others: package, base and table; `os` only by require, and of it
// `time` and `date`. As there, it has a second, and an empty table comes back as a list.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"time"

	lua "github.com/yuin/gopher-lua"
)

type question struct {
	Script  string `json:"script"`
	Objects []any  `json:"objects"`
}

type answer struct {
	Returned any    `json:"returned,omitempty"`
	Error    string `json:"error,omitempty"`
}

func main() {
	var asked question
	if err := json.NewDecoder(os.Stdin).Decode(&asked); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	answers := []answer{}
	for _, object := range asked.Objects {
		returned, err := run(asked.Script, object)
		if err != nil {
			answers = append(answers, answer{Error: err.Error()})
			continue
		}
		answers = append(answers, answer{Returned: returned})
	}
	if err := json.NewEncoder(os.Stdout).Encode(answers); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
}

func run(script string, object any) (any, error) {
	state := lua.NewState(lua.Options{SkipOpenLibs: true})
	defer state.Close()
	for name, open := range map[string]lua.LGFunction{
		lua.LoadLibName: lua.OpenPackage,
		lua.BaseLibName: lua.OpenBase,
		lua.TabLibName:  lua.OpenTable,
	} {
		state.Push(state.NewFunction(open))
		state.Push(lua.LString(name))
		state.Call(1, 0)
	}
	state.PreloadModule(lua.OsLibName, clock)
	limited, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	state.SetContext(limited)
	state.SetGlobal("obj", value(state, object))
	if err := state.DoString(script); err != nil {
		return nil, err
	}
	returned := state.Get(-1)
	if returned.Type() != lua.LTTable {
		return nil, fmt.Errorf("expect table output from Lua script, not %s", returned.Type())
	}
	return plain(returned), nil
}

// clock is what is left of the library `os`.
func clock(state *lua.LState) int {
	whole := lua.NewState()
	defer whole.Close()
	all := whole.GetGlobal(lua.OsLibName).(*lua.LTable)
	kept := state.NewTable()
	for _, name := range []string{"time", "date"} {
		kept.RawSetString(name, state.NewFunction(all.RawGetString(name).(*lua.LFunction).GFunction))
	}
	state.Push(kept)
	return 1
}

func value(state *lua.LState, from any) lua.LValue {
	switch from := from.(type) {
	case bool:
		return lua.LBool(from)
	case float64:
		return lua.LNumber(from)
	case string:
		return lua.LString(from)
	case []any:
		list := state.NewTable()
		for _, one := range from {
			list.Append(value(state, one))
		}
		return list
	case map[string]any:
		table := state.NewTable()
		for key, one := range from {
			table.RawSetString(key, value(state, one))
		}
		return table
	}
	return lua.LNil
}

func plain(from lua.LValue) any {
	switch from := from.(type) {
	case lua.LBool:
		return bool(from)
	case lua.LNumber:
		return float64(from)
	case lua.LString:
		return string(from)
	case *lua.LTable:
		if key, _ := from.Next(lua.LNil); key == lua.LNil || key.Type() == lua.LTNumber {
			list := []any{}
			from.ForEach(func(_, one lua.LValue) { list = append(list, plain(one)) })
			return list
		}
		table := map[string]any{}
		from.ForEach(func(key, one lua.LValue) { table[key.String()] = plain(one) })
		return table
	}
	return nil
}
