package main

import "context"

func garbage(context.Context, *run) error   { return nil }
func stranger(context.Context, *run) error  { return nil }
