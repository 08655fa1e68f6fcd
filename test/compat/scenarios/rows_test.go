package scenarios

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
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
		if sc.Differs != "" && !slices.ContainsFunc(Differences(), func(d Difference) bool { return d.Row == sc.Differs }) {
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

// TestDifferencesAreNamed: each row of section Q is a named difference, once,
// and none is named that nothing shows.
func TestDifferencesAreNamed(t *testing.T) {
	shown, named, rows := make(map[string]bool), make(map[string]bool), known()
	for _, sc := range All() {
		shown[sc.Differs] = true
		for _, id := range sc.Rows() {
			shown[id] = shown[id] || id[0] == 'Q'
		}
	}
	for _, d := range Differences() {
		_, elsewhere := Elsewhere()[d.Row]
		if rows[d.Row].ID == "" || named[d.Row] || !shown[d.Row] && !elsewhere {
			t.Errorf("difference %s is of no row, named twice, or nothing shows it", d.Row)
		}
		named[d.Row] = true
	}
	for id := range rows {
		if id[0] == 'Q' && !named[id] {
			t.Errorf("%s is not named among the differences", id)
		}
	}
}

// TestElsewhereExists: the tests and proofs that rows refer to are in the tree.
func TestElsewhereExists(t *testing.T) {
	root, err := cluster.Root()
	if err != nil {
		t.Fatal(err)
	}
	rows, found := known(), make(map[string][]string) // by folder
	for id, names := range Elsewhere() {
		if _, ok := rows[id]; !ok {
			t.Errorf("there is no row %s", id)
		}
		for _, name := range names {
			folder, test, _ := strings.Cut(name, " ")
			if found[folder] == nil {
				found[folder] = testsIn(t, filepath.Join(root, folder))
			}
			if !slices.Contains(found[folder], test) {
				t.Errorf("%s: no %q in %s, which has %q", id, test, folder, found[folder])
			}
		}
	}
}

// testsIn is the tests of a folder, and the proofs of test/proof.
func testsIn(t *testing.T, folder string) (names []string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "*.go"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no Go files in %s: %v", folder, err)
	}
	for _, file := range files {
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range parsed.Decls {
			switch f, _ := d.(*ast.FuncDecl); {
			case f == nil || f.Recv != nil:
			case strings.HasSuffix(file, "_test.go") && strings.HasPrefix(f.Name.Name, "Test"):
				names = append(names, f.Name.Name)
			case f.Name.Name == "proofs":
				names = append(names, entries(f)...)
			}
		}
	}
	return names
}

// entries is the first field of every entry of the table that a function returns.
func entries(table *ast.FuncDecl) (names []string) {
	ast.Inspect(table, func(n ast.Node) bool {
		entry, ok := n.(*ast.CompositeLit)
		if !ok || len(entry.Elts) == 0 {
			return true
		}
		if first, ok := entry.Elts[0].(*ast.BasicLit); ok {
			names = append(names, strings.Trim(first.Value, `"`))
		}
		return true
	})
	return names
}
