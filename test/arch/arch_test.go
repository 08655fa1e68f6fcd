// Package arch guards the direction of the imports: the tree is the architecture.
package arch

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/warrenmq/warren/"

// mayImport: the longest prefix of a package's path says which of ours it may
// import. An entry allows a package and everything below it.
var mayImport = map[string][]string{
	"proto":           {},
	"broker/wire":     {},
	"broker/level":    {},
	"broker/queue":    {"broker/level"},
	"broker/auth":     {"broker/pattern", "broker/wire"},
	"broker/pattern":  {},
	"broker/topology": {"broker/queue", "broker/policy"},
	"broker/routing":  {"broker/topology", "broker/queue"},
	"broker/policy":   {"broker/queue", "broker/pattern"},
	"broker/leader":   {"broker/queue"},
	"broker/transient": {
		"broker/queue", "broker/leader",
	},
	"broker":             {"broker"},
	"cluster/log":        {"cluster/log"},
	"cluster/security":   {},
	"cluster/membership": {"cluster/membership", "cluster/security"},
	"cluster/placement":  {},
	"cluster": {
		"cluster", "proto", "broker/topology", "broker/queue", "broker/policy", "broker/auth", "broker/leader", "broker/level",
	},
	"cmd":  {"cmd", "cluster", "broker"},
	"test": {"test", "cmd", "cluster", "broker"},
}

// alsoInTests widens the rule for _test.go files: an engine is tested over a real log.
var alsoInTests = []string{"broker/transient", "broker/policy", "cluster/peer/memconn", "cluster/membership/memnet", "cluster/log", "proto", "test"}

func TestImportsGoOneWay(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	files := 0
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(root, path)
		if d.IsDir() {
			if name := d.Name(); rel != "." && (strings.HasPrefix(name, ".") || name == "tools" || name == "testdata" || name == "node_modules") {
				return filepath.SkipDir
			}
			return nil
		}
		if strings.HasSuffix(path, ".go") {
			files++
			checkFile(t, rel, path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if files < 50 {
		t.Fatalf("only %d Go files seen under %s", files, root)
	}
}

func checkFile(t *testing.T, rel, path string) {
	t.Helper()
	pkg := filepath.ToSlash(filepath.Dir(rel))
	allowed, ok := rule(pkg)
	if !ok {
		t.Errorf("%s: no rule for package %s", rel, pkg)
		return
	}
	f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
	if err != nil {
		t.Errorf("%s: %v", rel, err)
		return
	}
	if strings.HasSuffix(rel, "_test.go") {
		allowed = slices.Concat(allowed, alsoInTests, []string{pkg})
	}
	for _, spec := range f.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			t.Errorf("%s: %v", rel, err)
			continue
		}
		ours, found := strings.CutPrefix(imported, module)
		if found && !slices.ContainsFunc(allowed, func(a string) bool { return under(ours, a) }) {
			t.Errorf("%s imports %s: %s may import only %v", rel, ours, pkg, allowed)
		}
	}
}

// rule finds the longest prefix that has one.
func rule(pkg string) (allowed []string, ok bool) {
	for p := pkg; p != "."; p = filepath.Dir(p) {
		if allowed, ok = mayImport[p]; ok {
			return allowed, true
		}
	}
	return nil, false
}

func under(pkg, parent string) bool {
	return pkg == parent || strings.HasPrefix(pkg, parent+"/")
}

// Pure packages hold no clock, no socket, no file and no goroutine's tools.
func TestPurePackages(t *testing.T) {
	pure := []string{"broker/wire", "broker/queue", "broker/topology", "broker/routing", "broker/policy", "broker/pattern", "cluster/placement"}
	forbidden := []string{"net", "os", "context", "log/slog", "math/rand", "syscall"}
	for _, pkg := range pure {
		files, err := filepath.Glob(filepath.Join("../..", pkg, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range files {
			if strings.HasSuffix(path, "_test.go") {
				continue
			}
			f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
			if err != nil {
				t.Fatal(err)
			}
			for _, spec := range f.Imports {
				imported, _ := strconv.Unquote(spec.Path.Value)
				if slices.Contains(forbidden, imported) {
					t.Errorf("%s imports %s: the package is pure", path, imported)
				}
			}
		}
	}
}
