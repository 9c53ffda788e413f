// The oracle of tlog_oracle.rs: judges notes, trees and proofs of a log with the packages of Go's checksum database
// (golang.org/x/mod/sumdb), and makes some for the other side to judge. Reads one JSON document and writes one.
//
//	tlog verify < cases.json    judges each case, see Case and Verdict
//	tlog make < wish.json       makes a log of its own, see Wish and Made
package main

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// Case is a note, and a leaf and an older tree with their proofs against the tree of the note.
type Case struct {
	Key         string // of the log, by which the note must be signed
	Witnesses   []string
	Note        string
	Leaf        []byte
	Index       int64
	Inclusion   [][]byte
	OldSize     int64
	OldRoot     []byte
	Consistency [][]byte
}

// Verdict has an empty text for everything that holds, else why not.
type Verdict struct {
	Note        string
	CosignedBy  []string
	Size        int64
	Inclusion   string
	Consistency string
}

// Wish is a log to be made: its leaves are the numbers below Size in decimal.
type Wish struct {
	Name string
	Size int64
}

// Made is a log: Inclusion has a proof for each leaf, Consistency one for each size from 1 to Size, Roots the roots of
// these sizes. Tiles are those of height 8, by their path without the height.
type Made struct {
	Key         string
	Note        string
	Roots       [][]byte
	Inclusion   [][][]byte
	Consistency [][][]byte
	Tiles       map[string][]byte
}

func main() {
	if len(os.Args) != 2 {
		fail(fmt.Errorf("usage: tlog verify|make"))
	}
	in, out := json.NewDecoder(os.Stdin), json.NewEncoder(os.Stdout)
	switch os.Args[1] {
	case "verify":
		var cases []Case
		check(in.Decode(&cases))
		verdicts := make([]Verdict, len(cases))
		for i, c := range cases {
			verdicts[i] = verify(c)
		}
		check(out.Encode(verdicts))
	case "make":
		var wish Wish
		check(in.Decode(&wish))
		check(out.Encode(grow(wish)))
	default:
		fail(fmt.Errorf("unknown command %q", os.Args[1]))
	}
}

func verify(c Case) (v Verdict) {
	key, err := note.NewVerifier(c.Key)
	if err != nil {
		v.Note = err.Error()
		return v
	}
	keys := []note.Verifier{key}
	for _, text := range c.Witnesses {
		w, err := newWitness(text)
		check(err)
		keys = append(keys, w)
	}
	opened, err := note.Open([]byte(c.Note), note.VerifierList(keys...))
	if err != nil {
		v.Note = err.Error()
		return v
	}
	byLog := false
	for _, s := range opened.Sigs {
		if s.Name == key.Name() && s.Hash == key.KeyHash() {
			byLog = true
		} else {
			v.CosignedBy = append(v.CosignedBy, s.Name)
		}
	}
	if !byLog {
		v.Note = "not signed by the log"
		return v
	}
	origin, rest, _ := strings.Cut(opened.Text, "\n")
	if origin != key.Name() {
		v.Note = "origin of another log"
		return v
	}
	// The checksum database has the same lines below an origin of its own.
	tree, err := tlog.ParseTree([]byte("go.sum database tree\n" + rest))
	if err != nil {
		v.Note = err.Error()
		return v
	}
	v.Size = tree.N
	v.Inclusion = text(tlog.CheckRecord(hashes(c.Inclusion), tree.N, tree.Hash, c.Index, tlog.RecordHash(c.Leaf)))
	v.Consistency = text(tlog.CheckTree(hashes(c.Consistency), tree.N, tree.Hash, c.OldSize, hash(c.OldRoot)))
	return v
}

func grow(wish Wish) (made Made) {
	skey, vkey, err := note.GenerateKey(rand.Reader, wish.Name)
	check(err)
	signer, err := note.NewSigner(skey)
	check(err)
	var stored []tlog.Hash
	reader := tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		var found []tlog.Hash
		for _, i := range indexes {
			found = append(found, stored[i])
		}
		return found, nil
	})
	for n := int64(0); n < wish.Size; n++ {
		more, err := tlog.StoredHashes(n, []byte(fmt.Sprint(n)), reader)
		check(err)
		stored = append(stored, more...)
		root, err := tlog.TreeHash(n+1, reader)
		check(err)
		made.Roots = append(made.Roots, root[:])
	}
	for n := int64(0); n < wish.Size; n++ {
		inclusion, err := tlog.ProveRecord(wish.Size, n, reader)
		check(err)
		made.Inclusion = append(made.Inclusion, plain(inclusion))
		consistency, err := tlog.ProveTree(wish.Size, n+1, reader)
		check(err)
		made.Consistency = append(made.Consistency, plain(consistency))
	}
	made.Tiles = make(map[string][]byte)
	for _, tile := range tlog.NewTiles(8, 0, wish.Size) {
		data, err := tlog.ReadTileData(tile, reader)
		check(err)
		made.Tiles[strings.Replace(tile.Path(), "tile/8/", "tile/", 1)] = data
	}
	root := base64.StdEncoding.EncodeToString(made.Roots[wish.Size-1])
	signed, err := note.Sign(&note.Note{Text: fmt.Sprintf("%s\n%d\n%s\n", wish.Name, wish.Size, root)}, signer)
	check(err)
	made.Key, made.Note = vkey, string(signed)
	return made
}

// witness verifies the co-signatures of c2sp.org/tlog-cosignature, which the package does not know.
type witness struct {
	name string
	hash uint32
	key  ed25519.PublicKey
}

func newWitness(vkey string) (*witness, error) {
	parts := strings.SplitN(vkey, "+", 3)
	if len(parts) != 3 {
		return nil, fmt.Errorf("malformed key %q", vkey)
	}
	key, err := base64.StdEncoding.DecodeString(parts[2])
	if err != nil || len(key) != 33 || key[0] != 4 {
		return nil, fmt.Errorf("not the key of a witness: %q", vkey)
	}
	id := sha256.Sum256(append([]byte(parts[0]+"\n"), key...))
	if hex.EncodeToString(id[:4]) != parts[1] {
		return nil, fmt.Errorf("wrong id in %q", vkey)
	}
	return &witness{parts[0], binary.BigEndian.Uint32(id[:4]), key[1:]}, nil
}

func (w *witness) Name() string    { return w.name }
func (w *witness) KeyHash() uint32 { return w.hash }
func (w *witness) Verify(msg, sig []byte) bool {
	if len(sig) != 8+ed25519.SignatureSize {
		return false
	}
	var signed bytes.Buffer
	fmt.Fprintf(&signed, "cosignature/v1\ntime %d\n%s", binary.BigEndian.Uint64(sig), msg)
	return ed25519.Verify(w.key, signed.Bytes(), sig[8:])
}

func hash(b []byte) (h tlog.Hash) {
	copy(h[:], b)
	return h
}

func hashes(list [][]byte) (proof []tlog.Hash) {
	for _, b := range list {
		proof = append(proof, hash(b))
	}
	return proof
}

func plain(proof []tlog.Hash) [][]byte {
	list := [][]byte{}
	for i := range proof {
		list = append(list, proof[i][:])
	}
	return list
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func check(err error) {
	if err != nil {
		fail(err)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "tlog:", err)
	os.Exit(1)
}
