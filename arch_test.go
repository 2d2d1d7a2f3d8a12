package hark_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// ARCHITECTURE.md has two tables that these tests hold the code to: the rooms, from the ground up,
// with what each may import; and the libraries, with the rooms that may use them.

const module = "github.com/harkhq/hark"

// room is a row of the first table. name is the folder; that of the root is "hark".
type room struct {
	name      string
	mayImport []string
}

// library is a row of the second table. "tests" in rooms means every room's test files.
type library struct {
	path  string
	rooms []string
}

// folder is what a folder's Go files say.
type folder struct {
	pkg         string
	doc         string
	imports     map[string]string // import path → a file that has it
	testImports map[string]string
}

func TestArchitecture_EveryRoomHasARow(t *testing.T) {
	rooms, _ := readArchitecture(t)
	folders := readFolders(t)
	for _, name := range slices.Sorted(maps.Keys(folders)) {
		if !slices.ContainsFunc(rooms, func(r room) bool { return r.name == name }) {
			t.Errorf("%s has no row in ARCHITECTURE.md", name)
		}
	}
	for _, r := range rooms {
		if folders[r.name] == nil {
			t.Errorf("ARCHITECTURE.md has a row for %s, which has no Go files", r.name)
		}
	}
}

func TestArchitecture_EveryRoomSaysWhatItIs(t *testing.T) {
	for name, f := range readFolders(t) {
		want := "Package " + f.pkg + " "
		if f.pkg == "main" {
			want = "Command "
		}
		if !strings.HasPrefix(f.doc, want) {
			t.Errorf("%s: the package comment must start with %q, it is %.40q", name, want, f.doc)
		}
	}
}

func TestArchitecture_ArrowsPointDown(t *testing.T) {
	rooms, _ := readArchitecture(t)
	for i, r := range rooms {
		for _, name := range r.mayImport {
			below := slices.ContainsFunc(rooms[:i], func(lower room) bool { return lower.name == name })
			if !below {
				t.Errorf("%s may import %s, which has no row above it", r.name, name)
			}
			if name == "internal/store/sqlite" && r.name != "internal/app" {
				t.Errorf("%s may import %s: only internal/app may", r.name, name)
			}
		}
		if (r.name == "hark" || r.name == "webhook") && len(r.mayImport) > 0 {
			t.Errorf("%s may import %v: it must stand on the standard library alone", r.name, r.mayImport)
		}
	}
}

func TestArchitecture_RoomsImportWhatTheyMay(t *testing.T) {
	rooms, _ := readArchitecture(t)
	folders := readFolders(t)
	for _, r := range rooms {
		f := folders[r.name]
		if f == nil {
			continue
		}
		imports := maps.Clone(f.imports)
		if outsideTheProduct(r.name) {
			maps.Copy(imports, f.testImports)
		}
		for imported, file := range imports {
			name, ok := roomOf(imported)
			if ok && name != r.name && !slices.Contains(r.mayImport, name) {
				t.Errorf("%s: %s may not import %s", file, r.name, name)
			}
		}
	}
}

func TestArchitecture_LibrariesStayInTheirRooms(t *testing.T) {
	_, libraries := readArchitecture(t)
	used := map[string]bool{} // library and room
	check := func(imported, file string, users ...string) {
		if _, own := roomOf(imported); own || !strings.Contains(strings.Split(imported, "/")[0], ".") {
			return
		}
		for _, l := range libraries {
			if imported != l.path && !strings.HasPrefix(imported, l.path+"/") {
				continue
			}
			for _, user := range users {
				if slices.Contains(l.rooms, user) {
					used[l.path+" "+user] = true
					return
				}
			}
		}
		t.Errorf("%s: ARCHITECTURE.md does not give %s to %s", file, imported, users[0])
	}
	for name, f := range readFolders(t) {
		for imported, file := range f.imports {
			check(imported, file, name)
		}
		for imported, file := range f.testImports {
			check(imported, file, name, "tests")
		}
	}
	for _, l := range libraries {
		for _, user := range l.rooms {
			if !used[l.path+" "+user] {
				t.Errorf("ARCHITECTURE.md gives %s to %s, which does not use it", l.path, user)
			}
			if user == "hark" || user == "webhook" {
				t.Errorf("%s must stand on the standard library alone, not on %s", user, l.path)
			}
		}
	}
}

// outsideTheProduct says of a room that it looks at the product from outside, so that its tests
// may not import the product either.
func outsideTheProduct(name string) bool {
	return name == "bench" || strings.HasPrefix(name, "test/")
}

// roomOf is the room that an import path means, if it is one of ours.
func roomOf(imported string) (name string, ok bool) {
	if imported == module {
		return "hark", true
	}
	return strings.CutPrefix(imported, module+"/")
}

// readArchitecture reads the two tables. Rooms and libraries stand between backquotes.
func readArchitecture(t *testing.T) (rooms []room, libraries []library) {
	t.Helper()
	text, err := os.ReadFile("ARCHITECTURE.md")
	if err != nil {
		t.Fatal(err)
	}
	table := ""
	for line := range strings.Lines(string(text)) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		switch {
		case !strings.HasPrefix(line, "|"):
			table = ""
		case table == "":
			table = strings.TrimSpace(cells[0])
		case strings.Contains(line, "---") || len(cells) != 3:
		case table == "room":
			rooms = append(rooms, room{quoted(cells[0])[0], quoted(cells[2])})
		case table == "library":
			libraries = append(libraries, library{quoted(cells[0])[0], quoted(cells[2])})
		}
	}
	if len(rooms) == 0 || len(libraries) == 0 {
		t.Fatalf("found %d rooms and %d libraries in ARCHITECTURE.md", len(rooms), len(libraries))
	}
	return rooms, libraries
}

// quoted lists what stands between backquotes.
func quoted(cell string) (out []string) {
	for i, part := range strings.Split(cell, "`") {
		if i%2 == 1 {
			out = append(out, part)
		}
	}
	return out
}

// readFolders reads every Go file of the module, whatever its build tags.
func readFolders(t *testing.T) map[string]*folder {
	t.Helper()
	folders := map[string]*folder{}
	err := filepath.WalkDir(".", func(file string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			return skipFolder(file, entry.Name())
		}
		if !strings.HasSuffix(file, ".go") {
			return nil
		}
		name := path.Dir(filepath.ToSlash(file))
		if name == "." {
			name = "hark"
		}
		if folders[name] == nil {
			folders[name] = &folder{imports: map[string]string{}, testImports: map[string]string{}}
		}
		return folders[name].add(file)
	})
	if err != nil {
		t.Fatal(err)
	}
	return folders
}

func skipFolder(file, name string) error {
	if file == "." {
		return nil
	}
	if strings.HasPrefix(name, ".") || name == "testdata" || name == "node_modules" {
		return filepath.SkipDir
	}
	if _, err := os.Stat(filepath.Join(file, "go.mod")); err == nil {
		return filepath.SkipDir // another module
	}
	return nil
}

func (f *folder) add(file string) error {
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly|parser.ParseComments)
	if err != nil {
		return fmt.Errorf("read %s: %w", file, err)
	}
	imports := f.imports
	if strings.HasSuffix(file, "_test.go") {
		imports = f.testImports
	}
	for _, spec := range parsed.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return fmt.Errorf("read %s: %w", file, err)
		}
		imports[imported] = file
	}
	f.describe(parsed)
	return nil
}

func (f *folder) describe(parsed *ast.File) {
	if strings.HasSuffix(parsed.Name.Name, "_test") {
		return
	}
	f.pkg = parsed.Name.Name
	if parsed.Doc != nil {
		f.doc = parsed.Doc.Text()
	}
}
