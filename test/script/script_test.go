package script

import (
	"context"
	"strings"
	"testing"
	"time"
)

func shell(text string) Command { return Command{Argv: []string{"sh", "-c", text}} }

func TestCasesAreTold(t *testing.T) {
	cases, err := Run(t.Context(), shell("echo ok one; echo noise; echo 'FAIL two: why: not'; exit 1"))
	if err != nil {
		t.Fatal(err)
	}
	if len(cases) != 2 || cases[0] != (Case{Name: "one"}) || cases[1].Name != "two" || cases[1].Err.Error() != "why: not" {
		t.Errorf("got %v", cases)
	}
}

func TestAProgramMayNotEndUnexplained(t *testing.T) {
	for name, text := range map[string]string{
		"without a case":           "true",
		"with a code and no case":  "echo ok one; echo oops >&2; exit 1",
		"killed":                   "echo ok one; kill -9 $$",
		"with a code after a FAIL": "echo 'FAIL one: why'; exit 3",
	} {
		if cases, err := Run(t.Context(), shell(text)); err == nil {
			t.Errorf("%s: no error, cases %v", name, cases)
		}
	}
}

func TestMarksAreAwaited(t *testing.T) {
	p, err := Start(t.Context(), shell("echo at first; echo at second; echo ok one"))
	if err != nil {
		t.Fatal(err)
	}
	for _, mark := range []string{"second", "first"} {
		if err := p.Await(t.Context(), mark); err != nil {
			t.Error(err)
		}
	}
	if err := p.Await(t.Context(), "third"); err == nil || !strings.Contains(err.Error(), "never at") {
		t.Errorf("third: %v", err)
	}
}

func TestTheEndOfTheContextEndsTheProgramAndItsChildren(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	p, err := Start(ctx, shell("sleep 1000 & echo at running; wait"))
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Await(ctx, "running"); err != nil {
		t.Fatal(err)
	}
	cancel()
	if _, err := p.Wait(); err == nil { // it waits for the child's end of the pipe, too
		t.Error("a killed program is no error")
	}
}
