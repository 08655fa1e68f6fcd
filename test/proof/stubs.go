package main

import "context"

func tutorial(context.Context, *run) error  { return nil }
func benchmark(context.Context, *run) error { return nil }
func garbage(context.Context, *run) error   { return nil }
func stranger(context.Context, *run) error  { return nil }
