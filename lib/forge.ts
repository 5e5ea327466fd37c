/** The door to node-forge: what writes and reads certificates and PKCS #12 files has it from here. */
export { default as forge } from 'node-forge'
