#!/usr/bin/env node
// Nothing is imported ahead of this check: an older Node would fail at the first module that it can't read, with a stack
// trace in place of the reason.
const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)

if (major < 20 || (major === 20 && minor < 19)) {
  process.stderr.write(`qkd needs Node.js 20.19 or later; this is ${process.versions.node} (https://nodejs.org)\n`)
  process.exitCode = 1
} else {
  void import('./main.ts')
    .then(({ main }) => main(process.argv.slice(2)))
    .then(exitCode => {
      process.exitCode = exitCode
    })
}

export {}
