package podnet

import (
	"errors"
	"testing"
)

func TestCgroupRoot(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ mounts, want string }{
		"unified": {"31 23 0:26 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw\n", "/sys/fs/cgroup"},
		"hybrid": {`40 32 0:33 / /sys/fs/cgroup/pids rw,relatime - cgroup cgroup rw,pids
42 32 0:35 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
`, "/sys/fs/cgroup/unified"},
	} {
		got, err := cgroupRoot(tc.mounts)
		if err != nil || got != tc.want {
			t.Errorf("%s: got %q, %v; want %q", name, got, err, tc.want)
		}
	}
	if _, err := cgroupRoot("40 32 0:33 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids\n"); !errors.Is(err, ErrNoCgroup) {
		t.Errorf("a machine without cgroup2: %v", err)
	}
}
