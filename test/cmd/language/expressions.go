package main

import "regexp"

// expression is text that must not occur in this repository.
type expression struct {
	name    string
	pattern *regexp.Regexp
	// write says what to write instead.
	write string
}

// expr ignores case. A space in the pattern also matches a line break.
func expr(name, pattern, write string) expression {
	return expression{name, regexp.MustCompile(`(?i)` + pattern), write}
}

// expressions are checked in every text file.
var expressions = []expression{
	expr("mend", `\bmend(s|ed|ing)?\b`, `"fix"; as a label "Suggested fix"`),
	expr("anew", `\banew\b`, `"again", "recreated" or "re-issued"`),
	expr("lies in", `\b(lies?|lay) (in|on|below|beside|under|there|where)\b`, `"is in" or "is stored in"`),
	expr("stands in", `\b(stands?|stood) (in|on|above|below|beside|before|behind|under|there|where|as|twice|alone)\b`, `"is in", "is listed" or "is stored in"`),
	expr("is about", `\b(is|are) about\b`, `"refers to" or "applies to"`),
	expr("wants", `\bwants\b|\b(is|are) wanted\b`, `"needs" or "requires"`),
	expr("is no X", `\b(is|are|was|were) no [a-z]+`, `"is not an X" or "does not exist"`),
	expr("of ours", `\bof ours\b`, `"our", or say whose it is`),
	expr("leafs", `(?-i:\bleafs\b|\bLeafs [a-z])`, `"leaf certificates"`),
	expr("as long as", `\bas long as\b`, `"while"`),
	expr("puts back", `\bput(s|ting)? back\b|\bput(s|ting)? (it|them|this|these|everything|what \w+) back\b`, `"restores"`),
	expr("takes back", `\btak(e|es|en|ing) (it |them |this |that |these |everything )?back\b|\bway back\b`, `"undoes"; "how to undo"`),
	expr("found by itself", `\b(found|chosen|detected) by (itself|themselves)\b`, `"detected automatically"`),
	expr("without a word", `\bwithout a word\b`, `"silently"`),
	expr("in vain", `\bin vain\b`, `"without effect"`),
	expr("belongs into", `\bbelongs? into\b`, `"belongs in"`),
	expr("from which on", `\bfrom which( \w+)? on\b`, `"minimum" or "from ... on"`),
	expr("alike", `\balike\b`, `"equally" or "the same"`),
	expr("for want of", `\bfor want of\b`, `"without", or "because ... is missing"`),
	expr("its own affair", `\bown affairs?\b`, `say what happens`),
	expr("yardstick", `\byardsticks?\b`, `"for comparison"`),
	expr("the word none", `\bthe word (none|true|false|local|remote)\b`, `"the value" and the value in quotes`),
	expr("is said", `\b(is|are|was|were|be|been|otherwise|not) said\b|\bsaid (once|above|below|otherwise)\b`, `"reported" or "printed"`),
	expr("what was there", `\bwhat (was|stood) there\b`, `"the previous value"`),
	expr("not known whether", `\bnot known whether\b|\bwhether [^.;:]{1,60} is not known\b`, `"cannot determine whether X"`),
	expr("writes over", `\bwr(ite|ites|ote|itten) over\b`, `"overwrite"`),
	expr("all the same", `\ball the same\b`, `"anyway", or leave it out`),
	expr("takes the limit away", `\btakes? the limit away\b`, `"0 means unlimited"`),
	expr("and there is %q", `, and there (is|are) %[dq]`, `"got %q"`),
	expr("for so long", `\bfor so long\b`, `"for this long"`),
	expr("what to call", `\bwhat to call is missing\b`, `"a URL or SERVICE[:PORT] is required"`),
}

// names are identifiers that Go code must not declare: they do not say which thing or which action they mean.
var names = map[string]string{
	"Again":   "a noun that says which command: RetryCommand",
	"Steers":  "a verb with its object, such as SelectsBackends",
	"Mend":    "Fix or Advice",
	"Own":     "a noun that says whose",
	"held":    "a noun that says what is kept and by whom",
	"besides": "a noun that says what else",
	"anew":    "again, or a verb",
}
