package main

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// linkedModule is a module whose code is in a binary.
type linkedModule struct {
	Path, Version string
	Dir           string   // where its files are
	Packages      []string // directories of the packages that are linked in
}

func (m linkedModule) String() string { return strings.TrimSpace(m.Path + " " + m.Version) }

var (
	licenseFile = regexp.MustCompile(`(?i)^(licen[cs]e|copying|unlicense)([-._].*)?$`)
	// noticeFile is what some licenses require to be passed on together with their text.
	noticeFile = regexp.MustCompile(`(?i)^(notice|patents)(\.(txt|md))?$`)
)

// writeNotices returns the licenses and notices of all modules. A text that several modules share is
// printed once. A module without a license file is an error: nobody may distribute it.
func writeNotices(binary string, modules []linkedModule) (string, error) {
	var texts []string
	owners := map[string][]string{}
	var errs []error
	for _, module := range slices.SortedFunc(slices.Values(modules), func(a, b linkedModule) int { return cmp.Compare(a.Path, b.Path) }) {
		files, err := noticeFiles(module)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		for _, file := range files {
			data, err := os.ReadFile(filepath.Join(module.Dir, file))
			if err != nil {
				return "", err
			}
			text := strings.TrimSpace(strings.ReplaceAll(string(data), "\r\n", "\n"))
			if owners[text] == nil {
				texts = append(texts, text)
			}
			owners[text] = append(owners[text], fmt.Sprintf("%s (%s)", module, filepath.ToSlash(file)))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return "", err
	}
	var out strings.Builder
	_, _ = fmt.Fprintf(&out, "%s contains code of the modules that are listed here, under the licenses below their names.\n", binary)
	line := strings.Repeat("=", 80)
	for _, text := range texts {
		_, _ = fmt.Fprintf(&out, "\n%s\n%s\n%s\n\n%s\n", line, strings.Join(owners[text], "\n"), line, text)
	}
	return out.String(), nil
}

// noticeFiles lists the license and notice files of a module, relative to its directory: those at its root, and those
// beside a linked package or between it and the root, such as the license of copied code.
func noticeFiles(module linkedModule) ([]string, error) {
	dirs := map[string]bool{".": true}
	for _, pkg := range module.Packages {
		dir, err := filepath.Rel(module.Dir, pkg)
		if err != nil || !filepath.IsLocal(dir) {
			return nil, fmt.Errorf("%s: package directory %s is not below %s", module, pkg, module.Dir)
		}
		for ; dir != "."; dir = filepath.Dir(dir) {
			dirs[dir] = true
		}
	}
	var found []string
	licensed := false
	for dir := range dirs {
		entries, err := os.ReadDir(filepath.Join(module.Dir, dir))
		if err != nil {
			return nil, err
		}
		for _, entry := range entries {
			name := entry.Name()
			isLicense := licenseFile.MatchString(name) && filepath.Ext(name) != ".go"
			if !entry.Type().IsRegular() || !isLicense && !noticeFile.MatchString(name) {
				continue
			}
			licensed = licensed || isLicense && dir == "."
			found = append(found, filepath.Join(dir, name))
		}
	}
	if !licensed {
		return nil, fmt.Errorf("%s has no license file in %s", module, module.Dir)
	}
	slices.Sort(found)
	return found, nil
}
