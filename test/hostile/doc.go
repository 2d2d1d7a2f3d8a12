// Package hostile gives the real binary what nobody should have to take: receivers that hang, flood
// and lie, clients that send what is not HTTP or not JSON, and a disk that is full. It promises that
// everybody else's deliveries keep flowing, that memory stays bounded, that nothing is acknowledged
// and then lost, and that every refusal is an answer. All traffic stays on loopback.
//
// The tests are the package; it has no other content.
package hostile
