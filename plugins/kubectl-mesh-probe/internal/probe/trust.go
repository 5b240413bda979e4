package probe

import (
	"context"
)

// prepare gives a stream what its run needs besides the settings.
func (s *stream) prepare(ctx context.Context, cfg Config) error {
	if len(cfg.CACert) == 0 {
		return nil
	}
	return s.trust(ctx, cfg.CACert)
}

// TLSHint says how to go on when no request got through TLS; empty if one did.
func TLSHint(cfg Config, results ...Result) string {
	requests := 0
	for _, r := range results {
		if r.tlsFailures < r.Requests {
			return ""
		}
		requests += r.Requests
	}
	switch {
	case requests == 0:
		return ""
	case cfg.Insecure:
		return "Every request failed in TLS, although --insecure skips the verification. Check that the port speaks TLS, and which versions the server accepts."
	case len(cfg.CACert) > 0:
		return "Every request failed in TLS. Check that the file of --cacert holds the CA of the server's certificate, and that the certificate names the host of the URL."
	}
	return "Every request failed in TLS. If the client pod does not trust the server's certificate, name its CA with --cacert FILE, or skip the verification with --insecure."
}
