package main

import "context"

func stranger(context.Context, *run) error  { return nil }
