package judge

// Only is the only cluster that can answer, if the prediction leaves one and has no caveat. It is empty otherwise.
func (p Prediction) Only() string { return p.sole() }
