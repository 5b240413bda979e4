package commandline

import (
	"runtime"
	"strings"
)

// Shell is what printed commands depend on: the shell that they are pasted into, and the separator of the files in KUBECONFIG.
type Shell struct {
	powershell    bool
	listSeparator string
}

// ShellOf returns the shell for which commands are printed on a platform: PowerShell on Windows, and a POSIX shell on every other.
func ShellOf(goos string) Shell {
	if goos == "windows" {
		return Shell{powershell: true, listSeparator: ";"}
	}
	return Shell{listSeparator: ":"}
}

// here is the shell of this machine.
var here = ShellOf(runtime.GOOS)

// Quote makes one word safe to paste into the shell of this machine. Names of contexts and clusters can contain any character.
func Quote(word string) string { return here.Quote(word) }

// Each repeats a command for each context: as a shell loop if all are in one kubeconfig, otherwise one after another.
func Each(contexts []Context, command func(Context) string) string {
	return here.Each(contexts, command)
}

// Into builds a command that writes what other commands print to a file, one after the other. What each of them prints begins on a new line.
func Into(file string, commands ...string) string { return here.Into(file, commands...) }

// Pipe builds a command that gives what the first command prints to the second one.
func Pipe(from, to string) string { return here.Pipe(from, to) }

// Quote makes one word safe to paste into the shell.
func (s Shell) Quote(word string) string {
	switch {
	case s.powershell && isPlainPowerShell(word), !s.powershell && isPlainPOSIX(word):
		return word
	}
	return s.literal(word)
}

// literal returns a word in quotes.
func (s Shell) literal(word string) string {
	switch {
	case !s.powershell:
		return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
	case !strings.ContainsAny(word, "$`\"%!^\r\n\u201c\u201d\u201e"): // cmd.exe understands these quotes too
		return `"` + word + `"`
	}
	// Typographic quotes end a string in PowerShell, as ' does.
	return "'" + strings.NewReplacer("'", "''", "\u2018", "\u2018\u2018", "\u2019", "\u2019\u2019", "\u201a", "\u201a\u201a", "\u201b", "\u201b\u201b").Replace(word) + "'"
}

func isPlainPOSIX(word string) bool { return isMadeOf(word, "-_.:/@+,=") }

// isPlainPowerShell leaves out what PowerShell reads differently without quotes: a comma makes a list, @ at the beginning splats a variable, and
// -a.b and -a:b are two words.
func isPlainPowerShell(word string) bool {
	if strings.HasPrefix(word, "@") || strings.HasPrefix(word, "-") && !strings.HasPrefix(word, "--") && strings.ContainsAny(word, ".:") {
		return false
	}
	return isMadeOf(word, `-_.:/\@+=`)
}

// isMadeOf reports whether a word has only letters and digits of ASCII, and these characters.
func isMadeOf(word, more string) bool {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune(more, r)
	}
	return word != "" && !strings.ContainsFunc(word, func(r rune) bool { return !plain(r) })
}

// assignment begins a command of PowerShell that reads several kubeconfigs.
const assignment = "$env:KUBECONFIG = "

// environment puts KUBECONFIG before a command.
func (s Shell) environment(kubeconfig Kubeconfig, command string) string {
	files := strings.Join(kubeconfig, s.listSeparator)
	if s.powershell { // it cannot set a variable for one command
		return assignment + s.literal(files) + "; " + command
	}
	return "KUBECONFIG=" + s.Quote(files) + " " + command
}

// variable is the variable of the loop of Each as a word.
func (s Shell) variable(name string) string {
	if s.powershell {
		return "$" + name
	}
	return `"$` + name + `"`
}

// loop repeats a command for each value of a variable.
func (s Shell) loop(variable string, values []string, command string) string {
	words := make([]string, len(values))
	for n, v := range values {
		if words[n] = s.Quote(v); s.powershell {
			words[n] = s.literal(v)
		}
	}
	if s.powershell {
		return "foreach ($" + variable + " in " + strings.Join(words, ", ") + ") { " + command + " }"
	}
	return "for " + variable + " in " + strings.Join(words, " ") + "; do " + command + "; done"
}

// sequence runs commands one after the other while they succeed. Windows PowerShell 5.1 has no &&.
func (s Shell) sequence(commands []string) string {
	if !s.powershell {
		return strings.Join(commands, " && ")
	}
	return strings.Join(commands, "; if ($?) { ") + strings.Repeat(" }", len(commands)-1)
}

// Into is the function of the same name for a shell. > of Windows PowerShell 5.1 would write UTF-16.
func (s Shell) Into(file string, commands ...string) string {
	if s.powershell {
		return "$(" + strings.Join(commands, "; ") + ") | Set-Content -Encoding ascii " + s.Quote(file)
	}
	return "(" + strings.Join(commands, "; echo; ") + ") > " + s.Quote(file)
}

// Pipe is the function of the same name for a shell. PowerShell has no place for an assignment within a pipeline.
func (s Shell) Pipe(from, to string) string {
	if value, ok := strings.CutPrefix(to, assignment); ok && s.powershell {
		end := strings.Index(value, value[:1]+"; ") + len(`"; `)
		return assignment + value[:end] + from + " | " + value[end:]
	}
	return from + " | " + to
}
