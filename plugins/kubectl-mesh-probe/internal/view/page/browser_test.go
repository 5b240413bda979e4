//go:build browser

package page

import (
	"context"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

var pictures = flag.String("pictures", "", "write pictures of the page to this directory")

// browser runs chromium without a window. It returns what it prints.
func browser(t *testing.T, args ...string) []byte {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		t.Fatal("this requires Debian's chromium: apt-get install chromium")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	base := []string{"--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars", "--no-first-run", "--user-data-dir=" + t.TempDir()}
	cmd := exec.CommandContext(ctx, path, append(base, args...)...)
	cmd.Env = append(os.Environ(), "HOME="+t.TempDir())
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("chromium: %v", err)
	}
	return out
}

func saved(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "report.html")
	if err := os.WriteFile(path, []byte(render(t, run("us"))), 0o600); err != nil {
		t.Fatal(err)
	}
	return "file://" + path
}

// A real browser reads the page as it is meant: the same tables, and the title.
func TestPageInABrowser(t *testing.T) {
	dom := string(browser(t, "--dump-dom", saved(t)))
	for _, want := range []string{"<title>mesh-probe: FAIL - http://nginx.web/</title>", `<td class="w FAIL"><strong>FAIL</strong></td>`, `id="errors"`, "connect-timeout", "</html>"} {
		if !strings.Contains(dom, want) {
			t.Errorf("the browser does not have %q", want)
		}
	}
	if n := strings.Count(dom, "<rect"); n < 150 {
		t.Errorf("%d rectangles", n)
	}
}

// frame shows the page at the width of a phone, and says in its title how wide the page is.
const frame = `<!DOCTYPE html><title>?</title><iframe src="report.html" style="width:375px;height:700px;border:0"></iframe><script>
onload = () => {
	const page = document.querySelector("iframe").contentDocument.documentElement;
	document.title = page.scrollWidth + " of " + page.clientWidth;
};
</script>`

// On a phone, only the tables and pictures scroll sideways, not the page.
func TestPageOnAPhone(t *testing.T) {
	page, err := os.ReadFile(strings.TrimPrefix(saved(t), "file://"))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, data := range map[string][]byte{"report.html": page, "frame.html": []byte(frame)} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	dom := string(browser(t, "--allow-file-access-from-files", "--virtual-time-budget=5000", "--dump-dom", "file://"+filepath.Join(dir, "frame.html")))
	if !strings.Contains(dom, "<title>375 of 375</title>") {
		t.Errorf("the page is wider than the phone: %.200s", dom)
	}
}

// Printed, the page is a document of several sheets.
func TestPagePrinted(t *testing.T) {
	path := filepath.Join(t.TempDir(), "report.pdf")
	browser(t, "--print-to-pdf="+path, "--no-pdf-header-footer", saved(t))
	pdf, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if sheets := len(regexp.MustCompile(`/Type /Page\b`).FindAll(pdf, -1)); sheets < 1 || sheets > 5 {
		t.Errorf("%d sheets", sheets)
	}
}

// TestPictures writes the pictures that docs/ shows.
func TestPictures(t *testing.T) {
	dir := *pictures
	if dir == "" {
		dir = t.TempDir()
	}
	for name, args := range map[string][]string{
		"probe-report-wide.png":  {"--window-size=900,1560"},
		"probe-report-phone.png": {"--window-size=500,1800"},
		"probe-report-dark.png":  {"--window-size=900,1560", "--blink-settings=preferredColorScheme=0"},
	} {
		taken := filepath.Join(t.TempDir(), name)
		browser(t, append(args, "--screenshot="+taken, saved(t))...)
		pressed := press(t, taken)
		if len(pressed) > 150_000 {
			t.Errorf("%s has %d bytes", name, len(pressed))
		}
		if err := os.WriteFile(filepath.Join(dir, name), pressed, 0o644); err != nil {
			t.Fatal(err)
		}
		t.Logf("%s: %d bytes", name, len(pressed))
	}
}
