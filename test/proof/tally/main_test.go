package main

import (
	"path/filepath"
	"reflect"
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
`, counts{Skipped: 1, Why: []string{"A: no disk"}}, "no disk"},
		{"what is no event passes through", "go: cannot find module\n", counts{}, "cannot find module"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var out strings.Builder
			got, err := tally(strings.NewReader(tt.events), &out)
			if err != nil || !reflect.DeepEqual(got, tt.want) || !strings.Contains(out.String(), tt.says) {
				t.Errorf("tally: %+v, %v, printed %q; want %+v and %q", got, err, out.String(), tt.want, tt.says)
			}
		})
	}
}

func TestTableOfSuites(t *testing.T) {
	file := filepath.Join(t.TempDir(), "counts")
	events := `{"Action":"pass","Package":"p","Test":"A"}
{"Action":"output","Package":"p","Test":"B","Output":"    b_test.go:7: no such client\n"}
{"Action":"skip","Package":"p","Test":"B"}
`
	steps := []struct {
		args   []string
		in     string
		failed bool
	}{
		{[]string{file, "unit"}, events, false},
		{[]string{file, "proofs", "pass", "idle"}, "", false},
		{[]string{file, "unit"}, events, false},
		{[]string{file, "proofs", "fail", "restart"}, "", true},
		{[]string{file, "proofs", "skip", "diskfull: no disk"}, "", false},
	}
	var out strings.Builder
	for _, s := range steps {
		if failed, err := run(s.args, strings.NewReader(s.in), &out); failed != s.failed || err != nil {
			t.Fatalf("%q: failed %v, %v", s.args, failed, err)
		}
	}
	out.Reset()
	failed, err := run([]string{file}, nil, &out)
	if !failed || err != nil {
		t.Errorf("failed %v, %v; want a failure", failed, err)
	}
	got := strings.Fields(strings.ReplaceAll(out.String(), "\n", " | "))
	want := strings.Fields(`suite passed failed skipped | unit 2 0 2 | proofs 1 1 1 | all 3 1 3 |
		skipped: B: b_test.go:7: no such client | skipped: B: b_test.go:7: no such client | skipped: diskfull: no disk |`)
	if !reflect.DeepEqual(got, want) {
		t.Errorf("table:\n%s", out.String())
	}
}
