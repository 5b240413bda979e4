// Package openssl compares what mesh-ca says about certificates with OpenSSL and with real TLS handshakes. It contains tests only.
package openssl
