package scenarios

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/warrenmq/warren/test/cluster"
)

// minScenarios is how many programs the table is meant to have at least.
const minScenarios = 400

// known is the rows by their ids.
func known() map[string]Row {
	rows := make(map[string]Row)
	for _, s := range Sections() {
		for _, r := range s.Rows {
			rows[r.ID] = r
		}
	}
	return rows
}

func TestScenariosAreWellFormed(t *testing.T) {
	names := make(map[string]bool)
	for _, sc := range All() {
		if err := sc.Check(); err != nil {
			t.Error(err)
		}
		if names[sc.Name] {
			t.Errorf("%q comes twice", sc.Name)
		}
		names[sc.Name] = true
		rows := known()
		for _, id := range sc.Rows() {
			if _, ok := rows[id]; !ok {
				t.Errorf("%q: there is no row %s", sc.Name, id)
			}
		}
		if sc.Differs != "" && (rows[sc.Differs].ID == "" || sc.Differs[0] != 'Q') {
			t.Errorf("%q: there is no difference %s", sc.Name, sc.Differs)
		}
	}
	if len(names) < minScenarios {
		t.Errorf("%d scenarios, want %d at least", len(names), minScenarios)
	}
}

// TestEveryRowIsShown: each row that is a must has a scenario, or a test elsewhere.
func TestEveryRowIsShown(t *testing.T) {
	shown := make(map[string]bool)
	for _, sc := range All() {
		for _, id := range sc.Rows() {
			shown[id] = true
		}
		shown[sc.Differs] = true
	}
	for id := range Elsewhere() {
		shown[id] = true
	}
	for _, s := range Sections() {
		for _, r := range s.Rows {
			if s.Covered && r.Need == Must && !shown[r.ID] {
				t.Errorf("nothing shows row %s, %s", r.ID, r.Title)
			}
		}
	}
}

// TestElsewhereExists: the tests that rows refer to are in the tree.
func TestElsewhereExists(t *testing.T) {
	root, err := cluster.Root()
	if err != nil {
		t.Fatal(err)
	}
	rows := known()
	for id, tests := range Elsewhere() {
		if _, ok := rows[id]; !ok {
			t.Errorf("there is no row %s", id)
		}
		for _, name := range tests {
			folder, test, ok := strings.Cut(name, " ")
			if !ok || !mentioned(t, filepath.Join(root, folder), test) {
				t.Errorf("%s: no %q in %s", id, test, folder)
			}
		}
	}
}

// mentioned says whether a file of the folder has the text.
func mentioned(t *testing.T, folder, text string) bool {
	t.Helper()
	files, err := os.ReadDir(folder)
	if err != nil {
		t.Error(err)
	}
	for _, f := range files {
		b, err := os.ReadFile(filepath.Join(folder, f.Name()))
		if err == nil && strings.Contains(string(b), text) {
			return true
		}
	}
	return false
}
