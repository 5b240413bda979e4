// Empty: its presence lets linked.go declare functions without bodies.
