import { readSources } from '../tree.ts'
import { algorithms, type CryptoAlgorithm, type CryptoProtocol, protocols } from './assets.ts'

/** Where the toolkit's own code lies. */
export const cryptoSources = readSources('lib', 'integrations', 'bin')

/** The cryptography bill of materials (CycloneDX 1.6): each algorithm and protocol, what for, and where in the source. */
export function cbom(): object {
  return {
    $schema: 'http://cyclonedx.org/schema/bom-1.6.schema.json',
    bomFormat: 'CycloneDX',
    specVersion: '1.6',
    version: 1,
    metadata: { component: { type: 'library', 'bom-ref': 'qkdkit', name: 'qkdkit' } },
    components: [...algorithms.map(algorithmComponent), ...protocols.map(protocolComponent)],
  }
}

/** Files with a line that uses the algorithm. */
function filesWith({ found }: CryptoAlgorithm): string[] {
  return cryptoSources.filter(({ text }) => codeLines(text).some(line => found.test(line))).map(({ path }) => path)
}

/** Files that speak the protocol, or say that they do. */
function filesSpeaking({ found }: CryptoProtocol): string[] {
  return cryptoSources.filter(({ text }) => found.test(text)).map(({ path }) => path)
}

/** Lines that are no import and no comment. */
export function codeLines(text: string): string[] {
  return text.split('\n').filter(line => !/^\s*(import |export \{|\/\/|\/?\*)/.test(line))
}

function algorithmComponent(asset: CryptoAlgorithm): object {
  const { name, primitive, parameterSet, functions, classicalBits, quantumLevel } = asset
  return {
    ...component(asset),
    cryptoProperties: {
      assetType: 'algorithm',
      algorithmProperties: {
        primitive,
        ...(parameterSet !== undefined && { parameterSetIdentifier: parameterSet }),
        executionEnvironment: 'software-plain-ram',
        implementationPlatform: 'generic',
        cryptoFunctions: functions,
        ...(classicalBits !== undefined && { classicalSecurityLevel: classicalBits }),
        ...(quantumLevel !== undefined && { nistQuantumSecurityLevel: quantumLevel }),
      },
    },
    ...evidence(name, filesWith(asset)),
  }
}

function protocolComponent(asset: CryptoProtocol): object {
  const { name, type, version } = asset
  const protocolProperties = { type, ...(version !== undefined && { version }) }
  return {
    ...component(asset),
    cryptoProperties: { assetType: 'protocol', protocolProperties },
    ...evidence(name, filesSpeaking(asset)),
  }
}

function component({ name, use }: { readonly name: string; readonly use: string }): object {
  return { type: 'cryptographic-asset', 'bom-ref': reference(name), name, description: use }
}

function evidence(name: string, files: readonly string[]): object {
  if (files.length === 0) throw new Error(`${name} is in the inventory and nowhere in the source`)
  return { evidence: { occurrences: files.map(location => ({ location })) } }
}

function reference(name: string): string {
  return `crypto/${name.toLowerCase().replace(/[^a-z0-9]+/g, '-')}`
}
