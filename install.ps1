# Installs a release of modelgate on Windows after its checksum holds.
#
#   irm https://github.com/modelgate/modelgate/releases/latest/download/install.ps1 | iex
#
# $env:MODELGATE_VERSION      the release, such as 0.1.0; the newest by default
# $env:MODELGATE_INSTALL_DIR  where the binary goes; %LOCALAPPDATA%\modelgate\bin by default
# $env:MODELGATE_RELEASES     where releases are, for mirrors
$ErrorActionPreference = 'Stop'
Set-StrictMode -Version Latest

function Install-Modelgate {
    $releases = if ($env:MODELGATE_RELEASES) { $env:MODELGATE_RELEASES } else { 'https://github.com/modelgate/modelgate/releases' }
    $folder = if ($env:MODELGATE_INSTALL_DIR) { $env:MODELGATE_INSTALL_DIR } else { Join-Path $env:LOCALAPPDATA 'modelgate\bin' }
    $version = "$env:MODELGATE_VERSION"
    if ($version -eq '') {
        $from = "$releases/latest/download"
    } elseif ($version -notmatch '^[0-9A-Za-z.-]+$') {
        throw "MODELGATE_VERSION is no version: $version"
    } else {
        $from = "$releases/download/v$($version.TrimStart('v'))"
    }
    if ($env:PROCESSOR_ARCHITECTURE -ne 'AMD64') {
        throw "there is no binary for $env:PROCESSOR_ARCHITECTURE"
    }
    $file = 'modelgate-x86_64-pc-windows-msvc.zip'
    $scratch = Join-Path ([IO.Path]::GetTempPath()) ([IO.Path]::GetRandomFileName())
    New-Item -ItemType Directory -Path $scratch | Out-Null
    try {
        Invoke-WebRequest -UseBasicParsing -Uri "$from/$file" -OutFile "$scratch\$file"
        Invoke-WebRequest -UseBasicParsing -Uri "$from/SHA256SUMS" -OutFile "$scratch\SHA256SUMS"
        $line = Get-Content "$scratch\SHA256SUMS" | Where-Object { $_ -match "^([0-9a-f]{64})[ *]+$([regex]::Escape($file))$" }
        if (-not $line) { throw "SHA256SUMS does not name $file" }
        $wanted = ($line -split '[ *]+')[0]
        $found = (Get-FileHash -Algorithm SHA256 "$scratch\$file").Hash.ToLowerInvariant()
        if ($wanted -ne $found) {
            throw "$file is not what was released: its SHA-256 is $found, and $wanted was expected; nothing was installed"
        }
        Expand-Archive -Path "$scratch\$file" -DestinationPath "$scratch\unpacked"
        New-Item -ItemType Directory -Force -Path $folder | Out-Null
        Copy-Item -Force "$scratch\unpacked\modelgate.exe" "$folder\modelgate.exe"
        Write-Host "installed $(& "$folder\modelgate.exe" --version) in $folder"
        if (-not (($env:PATH -split ';') -contains $folder)) { Write-Host "put $folder on your PATH to find it" }
    } finally {
        Remove-Item -Recurse -Force $scratch
    }
}

Install-Modelgate
