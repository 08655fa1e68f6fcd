package main

import (
	"strings"
	"testing"
)

func TestEveryProofOfTheIssueIsListed(t *testing.T) {
	var out strings.Builder
	if err := command(t.Context(), nil, &out); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"tutorial", "failover", "restart", "minority", "bench", "idle", "garbage", "flood", "elastic", "stranger"} {
		if !strings.Contains(out.String(), "\n"+name+" ") && !strings.HasPrefix(out.String(), name+" ") {
			t.Errorf("%s is not in the list:\n%s", name, out.String())
		}
	}
}

func TestAnUnknownProofIsAnError(t *testing.T) {
	var out strings.Builder
	if err := command(t.Context(), []string{"nope", "-short"}, &out); err == nil || !strings.Contains(err.Error(), "nope") {
		t.Errorf("command: %v", err)
	}
}

func TestARepeatedLineIsSeenWhateverItsTime(t *testing.T) {
	line := func(at, text string) string {
		return "time=" + at + ` level=WARN msg="refused: ` + text + `" node=x error="port ` + at + `"`
	}
	if !repeats([]string{line("1", "a"), line("2", "a")}) {
		t.Error("the same line at two times is not seen")
	}
	if repeats([]string{line("1", "a"), line("1", "b")}) {
		t.Error("two different lines are taken for one")
	}
}
