// Package reissue issues the leaf certificates of clusters again, by the means of whoever issues them, waits until that is done in every cluster, and then
// restarts what has read the previous CA: one cluster after the other, and the agents last. It decides nothing about certificates: what must be issued and by
// whom is in package ca, and what processes have read is observed by package live. It does not print.
package reissue
