/** Where systemd laid the credentials of this process (LoadCredential=), if it started it. */
export function credentials(): { credentialsDirectory?: string } {
  const { CREDENTIALS_DIRECTORY: credentialsDirectory } = process.env
  return credentialsDirectory === undefined ? {} : { credentialsDirectory }
}
