import { Worker } from 'node:worker_threads'

/**
 * A thread that runs the module `name` beside the module with the URL `from` (its `import.meta.url`); no ending on `name`.
 * Packed, both are JavaScript. Run from source they are TypeScript, and on Node.js 20 a thread does not inherit the loader
 * of the main thread, so it is given one first.
 */
export function startThread(name: string, from: string): Worker {
  if (!from.endsWith('.ts')) return new Worker(new URL(`${name}.js`, from))
  const module = new URL(`${name}.ts`, from)
  if ('typescript' in process.features && process.features.typescript) return new Worker(module)
  const [loader, source] = [import.meta.resolve('tsx/esm/api'), module.href].map(url => JSON.stringify(url))
  return new Worker(`import(${loader}).then(({ register }) => { register(); return import(${source}) })`, { eval: true })
}
