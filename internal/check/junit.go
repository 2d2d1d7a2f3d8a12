package check

import (
	"encoding/xml"
	"fmt"
	"io"
)

type junitSuites struct {
	XMLName xml.Name     `xml:"testsuites"`
	Suites  []junitSuite `xml:"testsuite"`
}

type junitSuite struct {
	Name     string      `xml:"name,attr"`
	Tests    int         `xml:"tests,attr"`
	Failures int         `xml:"failures,attr"`
	Errors   int         `xml:"errors,attr"`
	Skipped  int         `xml:"skipped,attr"`
	Time     string      `xml:"time,attr"`
	Cases    []junitCase `xml:"testcase"`
}

type junitCase struct {
	Name    string        `xml:"name,attr"`
	Class   string        `xml:"classname,attr"`
	Time    string        `xml:"time,attr"`
	Failure *junitMessage `xml:"failure"`
	Skipped *junitMessage `xml:"skipped"`
	Out     string        `xml:"system-out,omitempty"`
}

type junitMessage struct {
	Message string `xml:"message,attr"`
	Type    string `xml:"type,attr,omitempty"`
	Text    string `xml:",chardata"`
}

// WriteJUnit writes the report as the XML that CI systems read. A warning is a test that passed and
// has something to say.
func (r Report) WriteJUnit(out io.Writer) error {
	suite := junitSuite{Name: "hark check " + r.Provider, Tests: len(r.Verdicts)}
	total := 0.0
	for _, v := range r.Verdicts {
		total += v.Took.Seconds()
		c := junitCase{Name: v.Check, Class: "hark.check." + r.Provider, Time: fmt.Sprintf("%.3f", v.Took.Seconds())}
		switch v.Result {
		case Fail:
			suite.Failures++
			c.Failure = &junitMessage{Message: v.Means, Type: "receiver", Text: "Sent: " + v.Sends + "\nWanted: " + v.Wants + "\n"}
		case Skip:
			suite.Skipped++
			c.Skipped = &junitMessage{Message: v.Means}
		case Warn:
			c.Out = "warning: " + v.Means
		case Pass:
			c.Out = v.Means
		}
		suite.Cases = append(suite.Cases, c)
	}
	suite.Time = fmt.Sprintf("%.3f", total)
	if _, err := io.WriteString(out, xml.Header); err != nil {
		return err
	}
	enc := xml.NewEncoder(out)
	enc.Indent("", "  ")
	if err := enc.Encode(junitSuites{Suites: []junitSuite{suite}}); err != nil {
		return err
	}
	_, err := io.WriteString(out, "\n")
	return err
}
