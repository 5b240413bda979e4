package commandline

import (
	"path/filepath"
	"strings"

	"github.com/spf13/pflag"
)

// FlagWords returns a flag as it is typed to have the value that it has, not quoted for a shell; nothing for a credential, which is never printed.
func FlagWords(flag *pflag.Flag) []string {
	value := flag.Value.String()
	switch flag.Name {
	case "token", "password":
		return nil
	case "server", "proxy-url":
		if strings.Contains(value, "@") { // http://user:password@host
			return nil
		}
	case "certificate-authority", "client-certificate", "client-key":
		if abs, err := filepath.Abs(value); err == nil && value != "" {
			value = abs
		}
	}
	if flag.NoOptDefVal != "" && value == flag.NoOptDefVal {
		return []string{"--" + flag.Name}
	}
	values := []string{value}
	if list, ok := flag.Value.(pflag.SliceValue); ok {
		if values = list.GetSlice(); flag.Value.Type() != "stringArray" { // of which each stands by itself, commas and all
			values = []string{List(values...)}
		}
	}
	words := make([]string, len(values))
	for n, v := range values {
		words[n] = "--" + flag.Name + "=" + v
	}
	return words
}
