package storetest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// Queries are the string constants of the package under test whose names end in SQL, and the strings in
// its variables of such names, so that a store can try whether they fit its schema.
func Queries(t *testing.T) map[string]string {
	t.Helper()
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	values := make(map[string]ast.Expr)
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range file.Decls {
			if g, ok := d.(*ast.GenDecl); ok && (g.Tok == token.CONST || g.Tok == token.VAR) {
				for _, spec := range g.Specs {
					for i, v := range spec.(*ast.ValueSpec).Values {
						values[spec.(*ast.ValueSpec).Names[i].Name] = v
					}
				}
			}
		}
	}
	var eval func(e ast.Expr) string
	eval = func(e ast.Expr) string {
		switch e := e.(type) {
		case *ast.BasicLit:
			s, _ := strconv.Unquote(e.Value)
			return s
		case *ast.BinaryExpr:
			return eval(e.X) + eval(e.Y)
		case *ast.Ident:
			return eval(values[e.Name])
		}
		return ""
	}
	found := make(map[string]string)
	var add func(name string, e ast.Expr)
	add = func(name string, e ast.Expr) {
		statements, ok := e.(*ast.CompositeLit)
		if !ok {
			found[name] = eval(e)
			return
		}
		for i, element := range statements.Elts {
			if field, ok := element.(*ast.KeyValueExpr); ok {
				add(name+"."+field.Key.(*ast.Ident).Name, field.Value)
			} else {
				add(name+"."+strconv.Itoa(i), element)
			}
		}
	}
	for name, v := range values {
		if strings.HasSuffix(name, "SQL") {
			add(name, v)
		}
	}
	return found
}
