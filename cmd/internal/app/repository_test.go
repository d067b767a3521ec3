package app

import (
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// top is the repository as this package's tests see it.
var top = filepath.Join("..", "..", "..")

// tracked lists the files of the repository, as slash-separated paths from its top.
func tracked(t *testing.T) []string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "git", "-C", top, "ls-files", "-z").Output()
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("CI needs git and a clone: ", err)
		}
		t.Skip("needs git and a clone: an archive has no list of its files")
	}
	return strings.Split(strings.TrimRight(string(out), "\x00"), "\x00")
}

// TestFilesSayNothingOfOtherMachines looks for what a stranger does not have or must not see.
func TestFilesSayNothingOfOtherMachines(t *testing.T) {
	// Written in pieces so that this file does not find itself.
	forbidden := regexp.MustCompile(strings.Join([]string{
		`\b` + `TO` + `DO\b`, `\bFIX` + `ME\b`, `\bX` + `XX\b`,
		`/` + `work/(main|shared)`, `\.\./` + `shared`, `/` + `root/`, `/` + `home/[a-z]`,
		`proxy\.` + `golang\.org`, `registry\.` + `npmjs\.org/`, `(?:artifactory|nexus|verdaccio)[.:/]`,
		`-----BEGIN [A-Z ]*` + `PRIVATE KEY`,
	}, "|"))
	for _, name := range tracked(t) {
		if name == "go.sum" || name == "LICENSE" || strings.HasSuffix(name, "package-lock.json") || strings.HasSuffix(name, ".png") {
			continue
		}
		text, err := os.ReadFile(filepath.Join(top, filepath.FromSlash(name)))
		if os.IsNotExist(err) {
			continue // removed, not committed yet
		}
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for line := range strings.Lines(string(text)) {
			n++
			if found := forbidden.FindString(line); found != "" {
				t.Errorf("%s:%d: %s", name, n, found)
			}
		}
	}
}

// TestLockFileNamesNoMirror keeps addresses of a private mirror out of the lock file.
func TestLockFileNamesNoMirror(t *testing.T) {
	resolved := regexp.MustCompile(`"resolved": "([^"]+)"`)
	for _, name := range tracked(t) {
		if !strings.HasSuffix(name, "package-lock.json") {
			continue
		}
		text, err := os.ReadFile(filepath.Join(top, filepath.FromSlash(name)))
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range resolved.FindAllStringSubmatch(string(text), -1) {
			if !strings.HasPrefix(m[1], "https://registry."+"npmjs.org/") {
				t.Errorf("%s: resolved from %s", name, m[1])
				break
			}
		}
	}
}

// TestPackagesAreDocumented wants a package comment that opens with the package's name.
func TestPackagesAreDocumented(t *testing.T) {
	said := map[string]bool{}
	for _, name := range tracked(t) {
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") || strings.HasSuffix(name, ".gen.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(top, filepath.FromSlash(name)), nil, parser.ParseComments|parser.PackageClauseOnly)
		if os.IsNotExist(err) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		dir := filepath.ToSlash(filepath.Dir(name))
		opening := "Package " + file.Name.Name + " "
		if file.Name.Name == "main" {
			opening = "Command " + filepath.Base(dir) + " "
		}
		if file.Doc != nil && strings.HasPrefix(file.Doc.Text(), opening) {
			if said[dir] {
				t.Errorf("%s has two package comments", dir)
			}
			said[dir] = true
		} else if _, ok := said[dir]; !ok {
			said[dir] = false
		}
	}
	for dir, ok := range said {
		if !ok {
			t.Errorf("%s has no package comment", dir)
		}
	}
}

// TestTopLevel keeps the top of the repository to what a newcomer expects there.
func TestTopLevel(t *testing.T) {
	allowed := map[string]bool{
		"engine": true, "actors": true, "storage": true, "transport": true, "cmd": true, "docs": true,
		"deploy": true, "go.mod": true, "go.sum": true, "Makefile": true, "README.md": true, "LICENSE": true,
		".golangci.yml": true, ".gitignore": true, ".ci": true, "DESIGN.md": true,
	}
	for _, name := range tracked(t) {
		if first, _, _ := strings.Cut(name, "/"); !allowed[first] {
			t.Errorf("%s does not belong at the top", first)
			allowed[first] = true // once is enough
		}
	}
}

// TestLinksLeadSomewhere follows the relative links of every page.
func TestLinksLeadSomewhere(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)#:\s]+)(#[^)]*)?\)`)
	for _, name := range tracked(t) {
		if !strings.HasSuffix(name, ".md") {
			continue
		}
		path := filepath.Join(top, filepath.FromSlash(name))
		text, err := os.ReadFile(path)
		if err != nil {
			continue // removed, not committed yet
		}
		for _, m := range link.FindAllStringSubmatch(string(text), -1) {
			if _, err := os.Stat(filepath.Join(filepath.Dir(path), filepath.FromSlash(m[1]))); err != nil {
				t.Errorf("%s links to %s, which does not exist", name, m[1])
			}
		}
	}
}
