import { once } from 'node:events'
import { copyFile, mkdir, readFile, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { TestClient, TestRealm, type TestRealms } from './kdc-realm.ts'

/** A second KDC of a realm: with a copy of the database as it is now, a port, and a socket to an agent of its own. */
export async function createReplicaKdc({ directory }: TestRealms, primary: TestRealm): Promise<TestRealm> {
  const root = join(directory, `replica-of-${primary.name}`)
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  await new Promise(resolve => server.close(resolve))
  const replica = new TestRealm(primary.name, { root, port, krb5Conf: primary.env.KRB5_CONFIG!, options: {} })
  await mkdir(replica.directory, { recursive: true })
  const profile = (await readFile(primary.env.KRB5_KDC_PROFILE!, 'utf8'))
    .replaceAll(primary.directory, replica.directory)
    .replaceAll(`:${primary.port}`, `:${port}`)
  await writeFile(replica.env.KRB5_KDC_PROFILE!, profile)
  await copyFile(primary.stash, replica.stash)
  const dump = join(root, 'dump')
  await primary.run('kdb5_util', ['dump', dump])
  await replica.run('kdb5_util', ['load', dump])
  await replica.start()
  return replica
}

/** A client that knows these KDCs of the realm, in this order. */
export async function clientOf(realms: TestRealms, realm: string, ports: readonly number[]): Promise<TestClient> {
  const { ccache, env } = realms.client()
  const kdcs = ports.map(port => `  kdc = 127.0.0.1:${port}\n`).join('')
  const path = `${ccache}.conf`
  const plain = await readFile(env.KRB5_CONFIG!, 'utf8')
  await writeFile(path, plain.replace(new RegExp(`(\\n ${realm} = \\{\\n)[^}]*`), `$1${kdcs} `))
  return new TestClient(ccache, path)
}
