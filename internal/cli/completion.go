package cli

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/harkhq/hark/internal/observe"
)

type completionCmd struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"bash, zsh or fish."`
}

// Help is shown by hark completion --help.
func (completionCmd) Help() string {
	return `The script lists what this build knows: print it again after an update. The names of applications, endpoints,
consumers, sources and pollers are those of the server that a command would ask, if it answers at once.

Examples:

  source <(hark completion bash)                               (in ~/.bashrc)
  hark completion zsh > "${fpath[1]}/_hark"
  hark completion fish > ~/.config/fish/completions/hark.fish`
}

// Run prints a completion script.
func (c *completionCmd) Run(sh *shell) error {
	words := collectWords(sh.model.Node)
	switch c.Shell {
	case "bash":
		sh.say("%s", bashCompletion(words))
	case "zsh":
		sh.say("%s", zshCompletion(words))
	case "fish":
		sh.say("%s", fishCompletion(words))
	}
	return nil
}

// place is a spot on the command line and the words that can follow there.
type place struct {
	path  string // "", "endpoints", "endpoints create"
	words []word
	kind  string // of the things of the server that can follow, too; "" is none
}

// word is a command or a flag, with what can follow a flag where that is known.
type word struct {
	text, help string
	values     []string
	kind       string // of the things of the server that can follow it; "" is none
	short      string // its short form, such as -a
}

// valuesOf are the values that a flag or an argument can have, where they are known.
func valuesOf(v *kong.Value) []string {
	return slices.DeleteFunc(v.EnumSlice(), func(s string) bool { return s == "" })
}

func flagWord(f *kong.Flag) word {
	w := word{text: "--" + f.Name, help: f.Help, values: valuesOf(f.Value), kind: kindOfFlag(f)}
	if f.Short != 0 {
		w.short = "-" + string(f.Short)
	}
	return w
}

// collectWords walks the grammar, parents before children.
func collectWords(node *kong.Node) []place {
	var places []place
	var walk func(n *kong.Node, path string, inherited []word)
	walk = func(n *kong.Node, path string, inherited []word) {
		flags := inherited
		for _, f := range n.Flags {
			if !f.Hidden {
				flags = append(flags, flagWord(f))
			}
		}
		p := place{path: path}
		for _, child := range n.Children {
			if !child.Hidden {
				p.words = append(p.words, word{text: child.Name, help: child.Help})
			}
		}
		for i, arg := range n.Positional {
			if i == 0 {
				p.kind = kindOfArg(path, arg.Name)
			}
			for _, value := range valuesOf(arg) {
				p.words = append(p.words, word{text: value})
			}
		}
		p.words = append(p.words, flags...)
		if n.DefaultCmd != nil { // its flags can follow at once: hark messages --limit 5
			for _, f := range n.DefaultCmd.Flags {
				p.words = append(p.words, flagWord(f))
			}
		}
		places = append(places, p)
		for _, child := range n.Children {
			if child.Hidden {
				continue
			}
			walk(child, strings.TrimSpace(path+" "+child.Name), flags[:len(flags):len(flags)])
		}
	}
	walk(node, "", nil)
	return places
}

// kinds are the places whose flags, and those whose arguments, name things of the server, by their kind, as
// cases of bash and zsh.
func kinds(places []place) (flags, args map[string]string) {
	flags, args = map[string]string{}, map[string]string{}
	add := func(to map[string]string, kind, text string) {
		if to[kind] != "" {
			to[kind] += " | "
		}
		to[kind] += singleQuoted(text)
	}
	for _, p := range places {
		if p.kind != "" {
			add(args, p.kind, p.path)
		}
		for _, w := range p.words {
			if w.kind == "" {
				continue
			}
			add(flags, w.kind, p.path+" "+w.text)
			if w.short != "" {
				add(flags, w.kind, p.path+" "+w.short)
			}
		}
	}
	return flags, args
}

// profileNames is the shell command that lists what --profile can be.
const profileNames = `hark profiles 2>/dev/null | awk 'NR > 1 { print $1 }'`

// bashCompletion and its siblings keep to the words of the grammar, so that there is nothing to
// quote but the help texts.
func bashCompletion(places []place) string {
	var b strings.Builder
	b.WriteString("# bash completion for hark\n_hark() {\n")
	b.WriteString(`  local cur="${COMP_WORDS[COMP_CWORD]}" at="" words="" w i` + "\n")
	b.WriteString("  for ((i = 1; i < COMP_CWORD; i++)); do\n    w=\"${COMP_WORDS[i]}\"\n")
	b.WriteString("    case \"${at:+$at }$w\" in\n")
	for _, p := range places[1:] {
		fmt.Fprintf(&b, "      %q) at=%q ;;\n", p.path, p.path)
	}
	b.WriteString("    esac\n  done\n  case \"$at\" in\n")
	for _, p := range places {
		var texts []string
		for _, w := range p.words {
			texts = append(texts, w.text)
		}
		fmt.Fprintf(&b, "    %q) words=%q ;;\n", p.path, strings.Join(texts, " "))
	}
	b.WriteString("  esac\n  case \"$at ${COMP_WORDS[COMP_CWORD-1]}\" in\n")
	for _, p := range places {
		for _, w := range p.words {
			if len(w.values) > 0 {
				fmt.Fprintf(&b, "    %q) words=%q ;;\n", p.path+" "+w.text, strings.Join(w.values, " "))
			}
		}
	}
	flags, args := kinds(places)
	for _, kind := range slices.Sorted(maps.Keys(flags)) {
		fmt.Fprintf(&b, "    %s) words=$(hark complete %s \"${COMP_WORDS[@]:1}\" 2>/dev/null) ;;\n", flags[kind], kind)
	}
	fmt.Fprintf(&b, "    *' --profile') words=$(%s) ;;\n", profileNames)
	fmt.Fprintf(&b, "    'logout logout' | 'profiles use use') words=\"$words $(%s)\" ;;\n", profileNames)
	b.WriteString("    *' -'*) ;;\n    *) [[ $cur == -* ]] || case \"$at\" in\n")
	for _, kind := range slices.Sorted(maps.Keys(args)) {
		fmt.Fprintf(&b, "      %s) words=\"$words $(hark complete %s \"${COMP_WORDS[@]:1}\" 2>/dev/null)\" ;;\n", args[kind], kind)
	}
	b.WriteString("    esac ;;\n  esac\n  COMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n}\n")
	b.WriteString("complete -o default -F _hark hark")
	return b.String()
}

func zshCompletion(places []place) string {
	var b strings.Builder
	b.WriteString("#compdef hark\n# zsh completion for hark\n_hark() {\n")
	b.WriteString("  local at=\"\" w\n  local -a entries names\n  for w in ${words[2,$((CURRENT - 1))]}; do\n")
	b.WriteString("    case \"${at:+$at }$w\" in\n")
	for _, p := range places[1:] {
		fmt.Fprintf(&b, "      %q) at=%q ;;\n", p.path, p.path)
	}
	b.WriteString("    esac\n  done\n  case \"$at\" in\n")
	for _, p := range places {
		fmt.Fprintf(&b, "    %q) entries=(", p.path)
		for _, w := range p.words {
			fmt.Fprintf(&b, " %s", singleQuoted(w.text+":"+w.help))
		}
		b.WriteString(") ;;\n")
	}
	b.WriteString("  esac\n  case \"$at $words[CURRENT-1]\" in\n")
	for _, p := range places {
		for _, w := range p.words {
			if len(w.values) > 0 {
				fmt.Fprintf(&b, "    %q) compadd %s; return ;;\n", p.path+" "+w.text, strings.Join(w.values, " "))
			}
		}
	}
	flags, args := kinds(places)
	for _, kind := range slices.Sorted(maps.Keys(flags)) {
		fmt.Fprintf(&b, "    %s) names=(${(f)\"$(hark complete %s $words[2,-1] 2>/dev/null)\"}); compadd -a names; return ;;\n", flags[kind], kind)
	}
	b.WriteString("  esac\n  [[ $words[CURRENT] == -* || $words[CURRENT-1] == -* ]] || case \"$at\" in\n")
	for _, kind := range slices.Sorted(maps.Keys(args)) {
		fmt.Fprintf(&b, "    %s) names=(${(f)\"$(hark complete %s $words[2,-1] 2>/dev/null)\"}); compadd -a names ;;\n", args[kind], kind)
	}
	b.WriteString("  esac\n  if [[ $words[CURRENT-1] == --profile || $at == logout || $at == 'profiles use' ]]; then\n")
	fmt.Fprintf(&b, "    names=(${(f)\"$(%s)\"})\n    compadd -a names\n  fi\n", profileNames)
	b.WriteString("  _describe 'hark' entries\n  _files\n}\n_hark \"$@\"")
	return b.String()
}

func fishCompletion(places []place) string {
	var b strings.Builder
	b.WriteString("# fish completion for hark\nfunction __hark_at\n")
	b.WriteString("  set -l at\n  for w in (commandline -opc)[2..-1]\n    switch (string join ' ' -- $at $w)\n")
	for _, p := range places[1:] {
		fmt.Fprintf(&b, "      case %s\n        set -a at $w\n", singleQuoted(p.path))
	}
	b.WriteString("    end\n  end\n  test \"$at\" = \"$argv[1]\"\nend\n")
	for _, p := range places {
		at := singleQuoted("__hark_at " + singleQuoted(p.path))
		if p.path == "" {
			at = singleQuoted(`__hark_at ""`)
		}
		if p.kind != "" {
			fmt.Fprintf(&b, "complete -c hark -n %s -f -a \"(%s)\"\n", fishQuoted(at), fishNames(p.kind))
		}
		for _, w := range p.words {
			if flag, ok := strings.CutPrefix(w.text, "--"); ok {
				values := ""
				if len(w.values) > 0 {
					values = " -x -a " + singleQuoted(strings.Join(w.values, " "))
				} else if w.kind != "" {
					values = fmt.Sprintf(` -x -a "(%s)"`, fishNames(w.kind))
				}
				if w.short != "" {
					values = " -s " + w.short[1:] + values
				}
				fmt.Fprintf(&b, "complete -c hark -n %s -l %s%s -d %s\n", fishQuoted(at), flag, values, singleQuoted(w.help))
			} else {
				fmt.Fprintf(&b, "complete -c hark -n %s -a %s -d %s\n", fishQuoted(at), w.text, singleQuoted(w.help))
			}
		}
	}
	fmt.Fprintf(&b, "complete -c hark -n '__hark_at logout; or __hark_at \"profiles use\"' -f -a \"(%s)\"\n", fishEscaped(profileNames))
	fmt.Fprintf(&b, "complete -c hark -l profile -x -a \"(%s)\"", fishEscaped(profileNames))
	return b.String()
}

// singleQuoted quotes for bash and zsh; fish reads it alike when there is no quote inside.
func singleQuoted(text string) string {
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}

// fishEscaped is for within double quotes.
func fishEscaped(text string) string { return strings.ReplaceAll(text, "$", `\$`) }

// fishNames is the command that lists things of the server.
func fishNames(kind string) string {
	return "hark complete " + kind + " (commandline -opc)[2..-1] 2>/dev/null"
}

// fishQuoted turns the quotes inside a quoted condition into double ones.
func fishQuoted(text string) string {
	inner := strings.TrimSuffix(strings.TrimPrefix(text, "'"), "'")
	return "'" + strings.ReplaceAll(inner, `'\''`, `"`) + "'"
}

type versionCmd struct {
	JSON bool `help:"Answer with JSON."`
}

// Help is shown by hark version --help.
func (versionCmd) Help() string { return "Example:\n\n  hark version --json" }

// Run prints which build this is.
func (c *versionCmd) Run(sh *shell) error {
	build := observe.ReadBuild()
	if c.JSON {
		return sh.json(build)
	}
	line := "hark " + build.Version
	if build.Commit != "" {
		line += " (" + build.Commit[:min(len(build.Commit), 12)] + ")"
	}
	sh.say("%s, %s, %s", line, build.Go, build.Platform)
	return nil
}
