package podnet

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// ErrNoCgroup says that this machine has no cgroup2 hierarchy.
var ErrNoCgroup = errors.New("no cgroup2 file system is mounted")

// Cgroup is the directory in the cgroup2 hierarchy below which the nodes of the lab in stateDir have theirs. It is
// never the root, to which nothing of a lab may be attached.
func Cgroup(stateDir string) (string, error) {
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return "", err
	}
	root, err := cgroupRoot(string(mounts))
	if err != nil {
		return "", err
	}
	const hashLength = 6
	sum := sha256.Sum256([]byte(stateDir))
	return filepath.Join(root, "meshlab-"+hex.EncodeToString(sum[:hashLength])), nil
}

// cgroupRoot finds where cgroup2 is mounted (proc_pid_mountinfo(5)).
func cgroupRoot(mountinfo string) (string, error) {
	for line := range strings.Lines(mountinfo) {
		before, after, ok := strings.Cut(line, " - ")
		fields, types := strings.Fields(before), strings.Fields(after)
		const mountPoint = 4
		if ok && len(fields) > mountPoint && len(types) > 0 && types[0] == "cgroup2" {
			return fields[mountPoint], nil
		}
	}
	return "", ErrNoCgroup
}

// RemoveCgroup removes a cgroup and those below it. It waits a moment for processes that are ending.
func RemoveCgroup(dir string) error {
	var dirs []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			dirs = append(dirs, path)
		}
		return err
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	slices.Reverse(dirs) // those below come first
	const attempts, pause = 50, 100 * time.Millisecond
	for _, d := range dirs {
		for n := 0; ; n++ {
			err := unix.Rmdir(d)
			if err == nil || errors.Is(err, unix.ENOENT) {
				break
			}
			if !errors.Is(err, unix.EBUSY) || n == attempts {
				return fmt.Errorf("remove cgroup %s: %w", d, err)
			}
			time.Sleep(pause)
		}
	}
	return nil
}
