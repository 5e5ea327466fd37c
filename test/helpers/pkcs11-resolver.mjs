// Lets `import('pkcs11js')` find the package in the folder of its own: `node --import this-file`, the folder in QKD_TEST_PKCS11.
import { createRequire, register } from 'node:module'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'

const folder = process.env.QKD_TEST_PKCS11
if (folder !== undefined && !import.meta.url.includes('?hooks')) {
  const url = pathToFileURL(createRequire(join(folder, 'index.js')).resolve('pkcs11js')).href
  register(`${import.meta.url}?hooks`, { data: { url } })
}

let found

export function initialize({ url }) {
  found = url
}

export async function resolve(specifier, context, next) {
  return specifier === 'pkcs11js'
    ? { url: found, format: 'commonjs', shortCircuit: true }
    : await next(specifier, context)
}
