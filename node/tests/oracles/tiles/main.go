// Reads a log over HTTPS as any client of C2SP tlog-tiles does, with Go's own arithmetic, and says whether it is whole.
package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

type reader struct {
	base, token, spoil string
	client             *http.Client
}

func (r *reader) get(path string) ([]byte, error) {
	request, err := http.NewRequest("GET", r.base+path, nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Authorization", "Bearer "+r.token)
	response, err := r.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != 200 {
		err = fmt.Errorf("%s: %s", path, response.Status)
	}
	return body, err
}

func (r *reader) Height() int { return 8 }

func (r *reader) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	var all [][]byte
	for _, tile := range tiles {
		bytes, err := r.get("/tile/" + strings.TrimPrefix(tile.Path(), "tile/8/"))
		if err != nil {
			return nil, err
		}
		if r.spoil == "tile" && tile.L == 0 {
			bytes[0] ^= 1
		}
		all = append(all, bytes)
	}
	return all, nil
}

func (r *reader) SaveTiles([]tlog.Tile, [][]byte) {}

func check() (string, error) {
	authority, err := os.ReadFile(os.Args[2])
	if err != nil {
		return "", err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(authority) {
		return "", fmt.Errorf("no certificate in %s", os.Args[2])
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}
	r := &reader{os.Args[1], os.Args[3], os.Args[7], &http.Client{Transport: transport}}
	verifier, err := note.NewVerifier(os.Args[4])
	if err != nil {
		return "", err
	}
	text, err := r.get("/checkpoint")
	if err != nil {
		return "", err
	}
	opened, err := note.Open(text, note.VerifierList(verifier))
	if err != nil {
		return "", err
	}
	lines := strings.Split(opened.Text, "\n")
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil {
		return "", err
	}
	root, err := tlog.ParseHash(lines[2])
	if err != nil {
		return "", err
	}
	tree := tlog.Tree{N: size, Hash: root}
	hashes := tlog.TileHashReader(tree, r)
	for index := int64(0); index < size; {
		name := fmt.Sprintf("/tile/entries/%03d", index/256)
		width := size - index
		if width < 256 {
			name += fmt.Sprintf(".p/%d", width)
		}
		bundle, err := r.get(name)
		if err != nil {
			return "", err
		}
		for len(bundle) > 0 {
			length := 2 + int(binary.BigEndian.Uint16(bundle))
			leaf := append([]byte{}, bundle[2:length]...)
			bundle = bundle[length:]
			if r.spoil == "leaf" && index == size/2 {
				leaf[0] ^= 1
			}
			proof, err := tlog.ProveRecord(size, index, hashes)
			if err != nil {
				return "", err
			}
			if err := tlog.CheckRecord(proof, size, root, index, tlog.RecordHash(leaf)); err != nil {
				return "", fmt.Errorf("entry %d: %v", index, err)
			}
			index++
		}
	}
	old, err := strconv.ParseInt(os.Args[5], 10, 64)
	if err != nil {
		return "", err
	}
	var before tlog.Hash
	bytes, err := hex.DecodeString(os.Args[6])
	if err != nil {
		return "", err
	}
	copy(before[:], bytes)
	proof, err := tlog.ProveTree(size, old, hashes)
	if err != nil {
		return "", err
	}
	if err := tlog.CheckTree(proof, size, root, old, before); err != nil {
		return "", err
	}
	return fmt.Sprintf("%d entries, and all of %d go on", size, old), nil
}

func main() {
	said, err := check()
	if err != nil {
		said = fmt.Sprintf("refused: %v", err)
	}
	fmt.Println(said)
}
