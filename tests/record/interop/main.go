// Checks checkpoints and proofs of Caisey with Go's checksum database packages, which we did not write.
// Reads one JSON document from standard input; prints a line for each thing that does not hold, or "ok".
package main

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

type question struct {
	Vkey   string
	Note   string
	Size   int64
	Root   string
	Leaves []struct {
		Index int64
		Data  string
		Path  []string
	}
	Older []struct {
		Note string
		Path []string
	}
}

func hash(text string) (found tlog.Hash) {
	data, err := hex.DecodeString(text)
	if err != nil || len(data) != len(found) {
		fail("not a hash: %q", text)
	}
	copy(found[:], data)
	return found
}

func hashes(texts []string) (found []tlog.Hash) {
	for _, text := range texts {
		found = append(found, hash(text))
	}
	return found
}

func fail(format string, values ...interface{}) {
	fmt.Printf(format+"\n", values...)
	os.Exit(1)
}

// opened returns size and root of a signed checkpoint.
func opened(text string, verifier note.Verifier) (int64, tlog.Hash) {
	signed, err := note.Open([]byte(text), note.VerifierList(verifier))
	if err != nil {
		fail("note: %v", err)
	}
	lines := strings.Split(signed.Text, "\n")
	if lines[0] != verifier.Name() {
		fail("origin: %q", lines[0])
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil {
		fail("size: %v", err)
	}
	data, err := base64.StdEncoding.DecodeString(lines[2])
	if err != nil {
		fail("root: %v", err)
	}
	return size, hash(hex.EncodeToString(data))
}

func main() {
	var asked question
	if err := json.NewDecoder(os.Stdin).Decode(&asked); err != nil {
		fail("json: %v", err)
	}
	verifier, err := note.NewVerifier(asked.Vkey)
	if err != nil {
		fail("vkey: %v", err)
	}
	size, root := opened(asked.Note, verifier)
	for _, leaf := range asked.Leaves {
		data, err := hex.DecodeString(leaf.Data)
		if err != nil {
			fail("leaf: %v", err)
		}
		if err := tlog.CheckRecord(hashes(leaf.Path), size, root, leaf.Index, tlog.RecordHash(data)); err != nil {
			fail("inclusion of %d: %v", leaf.Index, err)
		}
	}
	for _, older := range asked.Older {
		before, beforeRoot := opened(older.Note, verifier)
		if err := tlog.CheckTree(hashes(older.Path), size, root, before, beforeRoot); err != nil {
			fail("consistency with %d: %v", before, err)
		}
	}
	fmt.Println("ok")
}
