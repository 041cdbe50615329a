#!/bin/sh
# Training on two machines, simulated on one: two launchers, each with a folder as its disk.
#     sh examples/two_machines.sh FOLDER
# On real machines: the first one's name for 127.0.0.1, its network interface for lo, and one
# process per GPU.
set -eu
mkdir -p "$1/one" "$1/two"
cd "$1/one"
python -m wetread sample phantoms --images 24 --test 0 --size 64 --quiet
python -m wetread scan phantoms/train -o train.index --quiet
python -m wetread prepare train.index -o train.cache --size 64 --quiet
python -m wetread boxes phantoms/train.csv --images train.index --consensus wbf -o truth.parquet
cp -R train.cache truth.parquet ../two # rsync -a train.cache truth.parquet second.host:two/
cd ..

train() ( # folder, number of the machine
    cd "$1"
    export GLOO_SOCKET_IFNAME=lo OMP_NUM_THREADS=1
    exec python -m torch.distributed.run --nnodes 2 --node-rank "$2" --nproc-per-node 1 \
        --master-addr 127.0.0.1 --master-port "${PORT:-29500}" \
        -m wetread train train.cache truth.parquet -o run --size 64 --batch 4 --epochs 3
)

train two 1 &
train one 0
wait $!
