package main

import (
	"fmt"
	"os"
)

// Tells a story: story MODEL PROMPT; with the model alone it does what is hard (hard.go).
func main() {
	model, err := Load(os.Args[1])
	if err == nil && len(os.Args) == 2 {
		hard(model)
		return
	}
	var context *Context
	if err == nil {
		context, err = model.Context(0)
	}
	if err == nil {
		err = context.Story(os.Args[2], func(text string) { fmt.Print(text) })
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println()
	context.Free()
	model.Free()
}
