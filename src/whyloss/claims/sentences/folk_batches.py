"""What practitioners tell each other about batches: scaling with their size, and means over the rows that are kept."""

from whyloss.claims.claim import Claim, Experiment, Panel, Statement, Text
from whyloss.claims.sentences.batches import kept_rows, larger_batch

CLAIMS = [
    Claim(
        id="F-9",
        sentence=Text(
            "With a larger batch, scale the loss or the learning rate up linearly.",
            "批量增大时，损失或学习率要按比例线性放大。",
        ),
        statements=(
            Statement(
                "a",
                Text(
                    "with the rate scaled linearly, the large batch is as accurate as the small one",
                    "学习率线性放大后，大批量的准确率与小批量一样高",
                ),
                Text(
                    "accuracy on test rows that batches of 512 at 16 times the rate lack; 0 where they lack none",
                    "批量 512、学习率 16 倍时所缺的测试准确率；不缺则为 0",
                ),
                margin=0.01,
                kind="same",
            ),
            Statement(
                "b",
                Text("with the rate as it was, the large batch loses accuracy", "学习率不变时，大批量损失准确率"),
                Text(
                    "accuracy on test rows: batches of 32 minus batches of 512 at the same rate",
                    "测试准确率：批量 32 减去同一学习率下的批量 512",
                ),
                margin=0.01,
            ),
            Statement(
                "c",
                Text(
                    "multiplying the loss does what multiplying the rate does",
                    "放大损失与放大学习率效果相同",
                ),
                Text(
                    "distance between the weights after 100 steps, over the way travelled",
                    "100 步后权重之间的距离，除以走过的距离",
                ),
                margin=1e-9,
                unit="plain",
                kind="same",
            ),
            Statement(
                "d",
                Text("multiplying the loss changes the training", "放大损失会改变训练"),
                Text(
                    "distance from the weights trained with the loss as it was, over the way travelled",
                    "与损失未放大时所得权重的距离，除以走过的距离",
                ),
                margin=0.01,
                unit="plain",
            ),
        ),
        experiment=Experiment(larger_batch, ("exact", "sgd 5", "sgd 20", "adam 5", "adam 20")),
        setting=Text(
            "Batches of 32 and of 512, 5 or 20 passes over 4096 rows of four classes with four clusters each, a "
            "network of 32 hidden units; SGD with momentum 0.9, and Adam. The rate of the large batch is that of the "
            "small one times 1, 4 (the root) or 16. Fixed: 0.01 (SGD) or 0.001 (Adam) for the small batch, last step. "
            "Tuned: the rate that validates best with the small batch, and for every run its own stopping point. "
            "Multiplied loss against multiplied rate: one network in float64, factor 16.",
            "批量 32 与 512，在 4096 个样本（四个类别，每类四个簇）上遍历 5 次或 20 次，32 个隐藏单元的网络；优化器为"
            "动量 0.9 的 SGD 和 Adam。大批量的学习率为小批量的 1 倍、4 倍（平方根）或 16 倍。固定协议：小批量学习率 "
            "0.01（SGD）或 0.001（Adam），取最后一步。调优协议：采用小批量下验证最好的学习率，每次训练各有自己的停止"
            "点。放大损失与放大学习率的比较：一个 float64 网络，倍数 16。",
        ),
        formula="SGD: w - lr k grad = w - (k lr) grad    Adam: k m / sqrt(k^2 v) = m / sqrt(v)",
        instead=Text(
            'Keep the mean, `whyloss.CrossEntropyLoss(reduction="mean")`, leave the loss unscaled, and tune the '
            "learning rate at the batch size that you train with; with Adam a factor on the loss does next to nothing.",
            '用平均值 `whyloss.CrossEntropyLoss(reduction="mean")`，不缩放损失，在实际训练所用的批量下调学习率；'
            "使用 Adam 时损失乘上常数几乎没有作用。",
        ),
        panels=(
            Panel(
                "change",
                Text("batches of 512 against 32, fixed protocol", "批量 512 与 32 相比，固定协议"),
                Text("learning rate of the large batch", "大批量的学习率"),
                Text("change in accuracy", "准确率的变化"),
                mark="bar",
            ),
            Panel(
                "way",
                Text("Adam: way of the weights", "Adam：权重走过的距离"),
                Text("step", "步数"),
                Text("distance from the start", "离起点的距离"),
            ),
        ),
        words={
            "optimiser": Text("optimiser", "优化器"),
            "passes": Text("passes over the rows", "遍历样本的次数"),
            "sgd": Text("SGD", "SGD"),
            "adam": Text("Adam", "Adam"),
            "sgd 5": Text("SGD, 5 passes", "SGD，遍历 5 次"),
            "sgd 20": Text("SGD, 20 passes", "SGD，遍历 20 次"),
            "adam 5": Text("Adam, 5 passes", "Adam，遍历 5 次"),
            "adam 20": Text("Adam, 20 passes", "Adam，遍历 20 次"),
            "kept": Text("rate as it was", "学习率不变"),
            "root": Text("rate × 4 (root)", "学习率 ×4（平方根）"),
            "times16": Text("rate × 16 (linear)", "学习率 ×16（线性）"),
            "loss16": Text("loss × 16", "损失 ×16"),
        },
    ),
    Claim(
        id="F-10",
        sentence=Text(
            "`ignore_index` only leaves rows out; the mean stays right.",
            "`ignore_index` 只是把一些样本排除在外，平均值仍然正确。",
        ),
        statements=(
            Statement(
                "a",
                Text(
                    "batches put together have the value of the mean over all kept rows",
                    "多个批次合起来的损失值等于所有保留样本的平均值",
                ),
                Text("relative deviation, mean over 20 draws", "相对偏差，20 次抽取的平均"),
                margin=1e-9,
                unit="plain",
                kind="same",
            ),
            Statement(
                "b",
                Text("and its gradient", "其梯度也等于所有保留样本平均值的梯度"),
                Text("relative deviation of the gradient, mean over 20 draws", "梯度的相对偏差，20 次抽取的平均"),
                margin=1e-9,
                unit="plain",
                kind="same",
            ),
            Statement(
                "c",
                Text(
                    "a batch with all rows ignored has a mean that is a number",
                    "所有样本都被忽略的批次，平均值仍是一个数",
                ),
                Text("share of such means that are NaN", "平均值为 NaN 的比例"),
                margin=1e-9,
                unit="plain",
                kind="same",
            ),
            Statement(
                "d",
                Text(
                    "a model trained on the mean of the batches' means is as accurate",
                    "按各批次平均值的平均训练出的模型同样准确",
                ),
                Text(
                    "accuracy on test rows: mean of means minus mean over all kept rows",
                    "测试准确率：平均值的平均减去所有保留样本的平均",
                ),
                margin=0.01,
                kind="same",
            ),
        ),
        experiment=Experiment(kept_rows, ("exact", "unrelated", "related")),
        setting=Text(
            "Exact: batches of 64 rows, one with all rows kept, eight with 32 kept, or eight with 2 to 64 kept, put "
            "together as the mean of their means (gradient accumulation, data parallelism) or as sums over sums. "
            "Trained: a linear model on 96 sequences of 32 tokens in three classes; half of them keep 2 tokens, half "
            "keep 30, with the same classes or, where related, mostly the first class in the short ones. Fixed: "
            "learning rate 0.01 (Adam), last step. Tuned: both with their own learning rate and stopping point.",
            "精确部分：每批 64 个样本，一批全部保留、八批各保留 32 个，或八批保留 2 到 64 个；合并方式为各批平均值的平"
            "均（梯度累积、数据并行），或总和除以总数。训练部分：线性模型，96 条长 32 的序列，三个类别；一半序列保留 "
            "2 个词元，另一半保留 30 个，类别分布相同，或（有关时）短的以第一类为主。固定协议：学习率 0.01（Adam），取"
            "最后一步。调优协议：两者各有自己的学习率和停止点。",
        ),
        formula="mean over b of (S_b / n_b) = (sum_b S_b) / (sum_b n_b) only if all n_b are the same",
        instead=Text(
            "Add up sums and counts and divide once: `total, weight = loss.parts(logits, target)`, or give every "
            "batch the common count, `loss(logits, target, normalizer=count)`.",
            "把总和与计数分别累加，只除一次：`total, weight = loss.parts(logits, target)`；或者给每个批次同一个计数："
            "`loss(logits, target, normalizer=count)`。",
        ),
        panels=(
            Panel(
                "bias",
                Text("two batches, one with more rows kept", "两个批次，其中一个保留的样本更多"),
                Text("kept rows, larger over smaller", "保留样本数之比（多比少）"),
                Text("relative deviation of the gradient", "梯度的相对偏差"),
                log_x=True,
            ),
            Panel(
                "share",
                Text("share of the class that short answers favour", "短回答偏好的类别所占的比例"),
                Text("among", "范围"),
                Text("share", "比例"),
                mark="bar",
            ),
        ),
        words={
            "average": Text("way of averaging", "合并批次的方式"),
            "means": Text("mean of means", "平均值的平均"),
            "parts": Text("sum over sum", "总和除以总数"),
            "shares": Text("share of kept rows", "各批保留的样本"),
            "one": Text("a single batch", "单个批次"),
            "equal": Text("as many in every batch", "各批一样多"),
            "uneven": Text("2 to 64 in a batch", "每批 2 到 64 个"),
            "unrelated": Text("uneven, the same classes", "多少不均，类别分布相同"),
            "related": Text("uneven, other classes", "多少不均，类别分布不同"),
            "library": Text("library", "库"),
            "torch": Text("torch", "torch"),
            "whyloss": Text("whyloss", "whyloss"),
            "rows": Text("kept test rows", "保留的测试样本"),
        },
    ),
]
