#!/usr/bin/env bash
# Packs what a bare Linux x86-64 GPU host without network or Node needs: Node itself, the package `webgpu` (Dawn), the Vulkan loaders.
#   pack.sh FOLDER     run in the project's root, after `npm ci`; writes FOLDER/runtime.txz and FOLDER/deb/ (about 27 MB)
set -euo pipefail
[[ $# == 1 && -d node_modules/webgpu ]] || { echo "usage, in the project's root after npm ci: pack.sh FOLDER" >&2; exit 2; }
mkdir -p "$1/deb" && folder=$(cd "$1" && pwd)
stage=$(mktemp -d) lists=$(mktemp -d); trap 'rm -rf "$stage" "$lists"' EXIT
mkdir -p "$stage/bin" "$stage/node_modules/webgpu/dist" "$lists/partial"
node=$(readlink -f "$(command -v node)")
strip -o "$stage/bin/node" "$node" 2>/dev/null || cp "$node" "$stage/bin/node"
chmod +x "$stage/bin/node"
cp node_modules/webgpu/{package.json,index.js} "$stage/node_modules/webgpu/"
cp -r node_modules/webgpu/dist/linux-x64 "$stage/node_modules/webgpu/dist/"
tar -C "$stage" -cJf "$folder/runtime.txz" bin node_modules
opts=(-oAPT::Architecture=amd64 -oAPT::Architectures=amd64 -oDir::State::Lists="$lists" -oAPT::Sandbox::User=root)
apt-get "${opts[@]}" -qq update >&2
(cd "$folder/deb" && apt-get "${opts[@]}" -qq download libvulkan1 libegl1 libglvnd0 libopengl0 libgl1 libglx0 libgles2 >&2)
