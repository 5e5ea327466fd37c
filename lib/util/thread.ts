import { Worker } from 'node:worker_threads'

/**
 * A thread that runs the module `name` beside the module with the URL `from` (its `import.meta.url`); no ending on `name`.
 * Packed, both are JavaScript. Run from source they are TypeScript, which Node.js from 22.18 on reads by itself.
 */
export function startThread(name: string, from: string): Worker {
  if (!from.endsWith('.ts')) return new Worker(new URL(`${name}.js`, from))
  const module = new URL(`${name}.ts`, from)
  if ('typescript' in process.features && process.features.typescript) return new Worker(module)
  return new Worker(new URL('source-thread.mjs', import.meta.url), { workerData: module.href })
}
