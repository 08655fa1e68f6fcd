package main

import (
	"strings"
	"testing"
)

func TestTally(t *testing.T) {
	tests := []struct {
		name, events string
		want         counts
		says         string
	}{
		{"a passed package", `{"Action":"output","Package":"p","Test":"A","Output":"chatter\n"}
{"Action":"pass","Package":"p","Test":"A"}
{"Action":"pass","Package":"p","Elapsed":1}
`, counts{Passed: 1}, "ok   p"},
		{"a failed test tells why", `{"Action":"output","Package":"p","Test":"A","Output":"got 1, want 2\n"}
{"Action":"fail","Package":"p","Test":"A"}
{"Action":"fail","Package":"p"}
`, counts{Failed: 1}, "got 1, want 2"},
		{"a panic outside of a test fails", `{"Action":"output","Package":"p","Output":"panic: boom\n"}
{"Action":"fail","Package":"p"}
`, counts{Failed: 1}, "panic: boom"},
		{"a test that never ended tells what it wrote", `{"Action":"output","Package":"p","Test":"A","Output":"exit status 2\n"}
{"Action":"fail","Package":"p"}
`, counts{Failed: 1}, "exit status 2"},
		{"a package that does not build fails", `{"Action":"build-output","ImportPath":"p [p.test]","Output":"undefined: x\n"}
{"Action":"fail","Package":"p","FailedBuild":"p [p.test]"}
`, counts{Failed: 1}, "undefined: x"},
		{"a skipped test is said", `{"Action":"output","Package":"p","Test":"A","Output":"no disk\n"}
{"Action":"skip","Package":"p","Test":"A"}
`, counts{Skipped: 1}, "no disk"},
		{"what is no event passes through", "go: cannot find module\n", counts{}, "cannot find module"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var out strings.Builder
			got, err := tally(strings.NewReader(tt.events), &out)
			if err != nil || got != tt.want || !strings.Contains(out.String(), tt.says) {
				t.Errorf("tally: %+v, %v, printed %q; want %+v and %q", got, err, out.String(), tt.want, tt.says)
			}
		})
	}
}
