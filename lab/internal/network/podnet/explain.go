package podnet

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// apparmorSwitch exists on Ubuntu 23.10 and later; 1 takes all rights from an ordinary user's namespaces.
const apparmorSwitch = "/proc/sys/kernel/apparmor_restrict_unprivileged_userns"

// explain turns the failure to make or to set up namespaces into ErrNotAllowed and the way out.
func explain(err error) error {
	refused := errors.Is(err, fs.ErrPermission) || strings.Contains(err.Error(), unix.EPERM.Error()) ||
		strings.Contains(err.Error(), unix.EACCES.Error())
	// max_user_namespaces = 0 is reported as a full disk.
	full := errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EUSERS)
	switch {
	case full:
		return fmt.Errorf("%w: no user namespace left (sysctl user.max_user_namespaces): %w", ErrNotAllowed, err)
	case refused && os.Geteuid() == 0:
		return fmt.Errorf("%w: root here lacks CAP_SYS_ADMIN, as in an unprivileged container: %w", ErrNotAllowed, err)
	case refused && apparmorRestricts():
		return fmt.Errorf("%w: run the lab with sudo, or set sysctl kernel.apparmor_restrict_unprivileged_userns=0: %w", ErrNotAllowed, err)
	case refused:
		return fmt.Errorf("%w: run the lab as root, or allow user namespaces: %w", ErrNotAllowed, err)
	}
	return err
}

func apparmorRestricts() bool {
	data, err := os.ReadFile(apparmorSwitch)
	return err == nil && strings.TrimSpace(string(data)) == "1"
}
